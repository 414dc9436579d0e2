"""Mutants are what they say, and are tried as they are."""

import subprocess
import sys
from pathlib import Path

import pytest

from .mutants import mutants_of

ROOT = Path(__file__).parents[2]

SOURCE = '''"""A module that says -1."""

from typing import Any

Array = dict[str, Any] | None


class Counter:
    """Counts `é`."""

    STEP: int = 1

    def add(self, values: list[int], most: int | None = None, name: str = "é") -> bool:
        """Not `min(a, b)`."""
        if not values or len(values) > 5 + self.STEP:
            raise ValueError(f"`values` is {len(values) + 1} long")
        self.total = min(sum(values), 10, key=abs)
        print("é", self.total, sep="")
        return self.total == 10
'''


@pytest.fixture
def found(tmp_path):
    (tmp_path / "counter.py").write_text(SOURCE, "utf-8")
    return mutants_of(tmp_path / "counter.py", tmp_path)


def test_what_computes_is_changed_and_nothing_else(found):
    condition = "not values or len(values) > 5 + self.STEP"
    least = "min(sum(values), 10, key=abs)"
    shown = "print('é', self.total, sep='')"
    assert {(one.line, one.change) for one in found} == {
        (11, "1 -> 2"),
        (15, f"{condition} -> not values and len(values) > 5 + self.STEP"),
        (15, f"{condition} -> not (not values or len(values) > 5 + self.STEP)"),
        (15, "not values -> values"),
        (15, "len(values) > 5 + self.STEP -> len(values) >= 5 + self.STEP"),
        (15, "5 + self.STEP -> 5 - self.STEP"),
        (15, "5 -> 6"),
        (16, "raise ValueError(f'`values` is {len(values) + 1} long') -> pass"),
        (17, f"self.total = {least} -> pass"),
        (17, f"{least} -> min(sum(values), 10)"),
        (17, f"{least} -> max(sum(values), 10, key=abs)"),
        (17, "10 -> 11"),
        (18, f"{shown} -> pass"),
        (18, f"{shown} -> print(self.total, 'é', sep='')"),
        (18, f"{shown} -> print('é', self.total)"),
        (19, "return self.total == 10 -> return None"),
        (19, "self.total == 10 -> self.total != 10"),
        (19, "10 -> 11"),
    }
    assert len({one.key for one in found}) == len(found)


def test_a_mutant_is_a_module_with_one_change(found):
    lines = SOURCE.splitlines()
    for one in found:
        changed = one.applied(SOURCE)
        compile(changed, one.file, "exec")
        different = [i for i, line in enumerate(changed.splitlines(), 1) if line != lines[i - 1]]
        assert different == [one.line]
        assert one.undone().applied(SOURCE) == SOURCE


def test_the_text_around_a_change_stays_what_it_was(tmp_path):
    (tmp_path / "power.py").write_text("x = 2 * (a + b) ** -c[0]\n")
    texts = [
        one.applied("x = 2 * (a + b) ** -c[0]\n")
        for one in mutants_of(tmp_path / "power.py", tmp_path)
    ]
    assert "x = 2 * ((a - b)) ** -c[0]\n" in texts
    assert "x = 2 * ((a + b) * -c[0])\n" in texts


def test_a_change_knows_its_statement_and_function(found):
    by_line = {one.line: one for one in found}
    assert (by_line[11].statement, by_line[11].scope) == ((11, 11), (8, 19))
    assert (by_line[15].statement, by_line[15].scope) == ((15, 15), (13, 19))


@pytest.mark.slow
@pytest.mark.full
def test_mutants_are_killed_and_the_unchanged_module_is_not():
    """In a process of its own: this one may have run an op."""
    program = """
from pathlib import Path
from tests.mutation.forked import try_mutant
from tests.mutation.mutants import mutants_of

root = Path.cwd()
tests = {"tests/quantization/test_histogram.py": 10.0}
found = mutants_of(root / "keras_bottleneck/quantization/histogram.py", root)
shift = next(one for one in found if one.change == "14  ->  15" or ">>" in one.change)
print(try_mutant(shift.undone(), root, tests).how, try_mutant(shift, root, tests).how, sep=", ")
"""
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.strip() == "survived, a test failed", run.stderr
