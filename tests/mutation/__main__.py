"""Do the tests notice when the code is wrong? Runs them on changed copies of it.

    python -m tests.mutation                       # a seeded sample of 200 mutants, about an hour
    python -m tests.mutation --again               # the survivors once more, say for new tests
    python -m tests.mutation --only graph/fold.py --mutants 1000

Each mutant is a module of `graph/` or `quantization/` with one small change (see `mutants.py`). It
is killed if a test of `tests/graph` or `tests/quantization` that is not marked `full` fails or does
not end. Only tests that run the changed line are tried, up to `--seconds` of them, the fastest
first; which they are is recorded once, and again for test files that have changed.

Why not mutmut or cosmic-ray: the one changes functions but neither constants of classes and tables
nor what is decorated, and puts wrappers around methods whose signatures Keras reads; the other
starts a process for each mutant, and TensorFlow's import takes longer than most mutants live. Here
a process with TensorFlow imported, but no op run, is forked for each.

Everything is kept in `build/mutation/`: a run that was interrupted goes on where it was. Exits
with 1 if fewer than 80% are killed, and with 2 if tests fail without any mutant.
"""

import argparse
import hashlib
import json
import random
import sys
from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from .forked import Trial, record, try_mutant
from .mutants import Mutant, mutants_of

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "keras_bottleneck"
FOLDERS = ("graph", "quantization")
STATE = ROOT / "build" / "mutation"
ENOUGH = 0.8
# Unchanged modules that have to survive: else tests depend on their order.
CONTROLS = 5


def main() -> int:
    """Record the tests, try the mutants, print the table."""
    asked = arguments()
    STATE.mkdir(parents=True, exist_ok=True)
    modules = [file for folder in FOLDERS for file in sorted((PACKAGE / folder).rglob("*.py"))]
    tests = recorded(modules)
    failing = [name for name, test in tests.items() if not test["passed"]]
    if failing:
        print("These fail without any mutant:", *failing, sep="\n  ")
        return 2
    mutants = [one for file in modules for one in mutants_of(file, ROOT)]
    drawn = [one for one in mutants if asked.only in one.file]
    if asked.mutants < len(drawn):
        drawn = random.Random(asked.seed).sample(drawn, asked.mutants)
    results = Results(asked.again)
    controls = [one.undone() for one in drawn[:CONTROLS]]
    for mutant in track([*controls, *sorted(drawn, key=lambda one: one.key)], "mutants"):
        if results.needs(mutant):
            chosen = affected(mutant, tests, asked.seconds)
            results.add(mutant, try_mutant(mutant, ROOT, chosen))
        if mutant in controls and results.of(mutant).killed:
            print(f"What is tried on {mutant.key} fails without it as well.")
            return 2
    return report([(one, results.of(one)) for one in drawn], len(mutants))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description="Mutation tests.")
    parser.add_argument("--mutants", type=int, default=200, help="how many (200)")
    parser.add_argument("--seed", type=int, default=0, help="which ones (0)")
    parser.add_argument("--seconds", type=float, default=60, help="of tests for each mutant (60)")
    parser.add_argument("--only", default="", help="part of the path of the modules to change")
    parser.add_argument("--again", action="store_true", help="try survivors once more")
    return parser.parse_args()


def recorded(modules: list[Path]) -> dict[str, dict]:
    """Each test's duration and the lines that it runs, from the last run where nothing changed."""
    tests: dict[str, dict] = {}
    code = digest(*modules)
    files = [
        file for folder in FOLDERS for file in sorted((ROOT / "tests" / folder).glob("test_*.py"))
    ]
    for file in track(files, "tests without mutants"):
        kept = STATE / "tests" / f"{file.parent.name}_{file.stem}_{digest(file)}_{code}.json"
        if not kept.exists():
            kept.parent.mkdir(exist_ok=True)
            write(kept, record(file, ROOT, [PACKAGE / one for one in FOLDERS]))
        tests |= json.loads(kept.read_text())
    return tests


def affected(mutant: Mutant, tests: dict[str, dict], seconds: float) -> dict[str, float]:
    """The tests to try on a mutant with their durations, fastest first.

    Those that run its statement; of what runs at import, those that run something of its class
    or module.
    """
    for first, last in (mutant.statement, mutant.scope, (1, sys.maxsize)):
        found = {
            name: test["seconds"]
            for name, test in tests.items()
            if any(first <= line <= last for line in test["lines"].get(mutant.file, ()))
        }
        if found:
            break
    chosen, total = {}, 0.0
    for name in in_order(found):
        total += found[name]
        if chosen and total > seconds:
            break
        chosen[name] = found[name]
    return chosen


def in_order(tests: dict[str, float]) -> list[str]:
    """Fast tests first, and first cases: each counts with what the cases before it take, too."""
    so_far: dict[str, float] = defaultdict(float)
    taken = {}
    for name in sorted(tests, key=tests.get):
        function = name.split("[")[0]
        so_far[function] += tests[name]
        taken[name] = so_far[function]
    return sorted(taken, key=taken.get)


class Results:
    """What became of mutants, on disk after each."""

    def __init__(self, again: bool) -> None:
        self.file = STATE / "results.json"
        self.again = again
        self.known: dict[str, dict] = (
            json.loads(self.file.read_text()) if self.file.exists() else {}
        )

    def needs(self, mutant: Mutant) -> bool:
        result = self.known.get(self._name(mutant))
        return result is None or (self.again and not result["killed"])

    def add(self, mutant: Mutant, trial: Trial) -> None:
        self.known[self._name(mutant)] = trial._asdict()
        write(self.file, self.known)

    def of(self, mutant: Mutant) -> Trial:
        return Trial(**self.known[self._name(mutant)])

    def _name(self, mutant: Mutant) -> str:
        return f"{digest(ROOT / mutant.file)} {mutant.key}"


def report(results: list[tuple[Mutant, Trial]], possible: int) -> int:
    """Print the table and the survivors; the exit status."""
    rows: dict[str, list[Trial]] = defaultdict(list)
    for mutant, trial in results:
        rows[mutant.file.removeprefix("keras_bottleneck/")].append(trial)
    table = Table("module", "mutants", "killed", "survived")
    for name, trials in sorted(rows.items()):
        killed = sum(one.killed for one in trials)
        table.add_row(name, str(len(trials)), str(killed), str(len(trials) - killed))
    console = Console(width=100)
    console.print(table)
    killed = sum(trial.killed for _, trial in results)
    share = killed / len(results)
    print(f"{killed} of {len(results)} killed ({share:.1%}), of {possible} possible. Survivors:")
    for mutant, trial in sorted(results, key=lambda one: one[0].key):
        if not trial.killed:
            print(f"{mutant.file}:{mutant.line}  {mutant.change}  ({trial.tests} tests)")
    return 0 if share >= ENOUGH else 1


def write(file: Path, found: dict) -> None:
    beside = file.with_suffix(".new")
    beside.write_text(json.dumps(found, indent=1))
    beside.replace(file)


def digest(*files: Path) -> str:
    content = hashlib.sha256()
    for file in files:
        content.update(file.read_bytes())
    return content.hexdigest()[:12]


if __name__ == "__main__":
    sys.exit(main())
