"""Test runs in forked processes, which find TensorFlow imported and no op run.

TensorFlow starts its threads with the first op, and a thread does not survive a fork. So whoever
imports this module must not compute anything with it, nor import `keras_bottleneck`, which each
child imports for itself, changed or not.
"""

import ctypes
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

import coverage
import hypothesis  # noqa: F401  (what follows takes seconds to import, once instead of in each child)
import keras  # noqa: F401
import onnx  # noqa: F401
import pytest
import tensorflow as tf  # noqa: F401

from .mutants import Mutant

# A child that asks for more has lost its way, and would take the machine with it.
MEMORY = 12 << 30
# Linux: the child ends when its parent does, however that came.
PR_SET_PDEATHSIG = 1
# What a failed assertion says is not read, and plugins of other packages take a second to import.
PLAIN = (
    *("-n", "0", "-p", "no:cacheprovider", "-p", "no:anyio", "--assert", "plain", "--no-header"),
    *("--all-cases", "-m", "not full"),
)


class Trial(NamedTuple):
    """What became of a mutant."""

    killed: bool
    how: str
    tests: int
    seconds: float


def try_mutant(mutant: Mutant, root: Path, tests: dict[str, float]) -> Trial:
    """Run `tests`, names and durations in seconds, on a mutant until one fails."""
    if not tests:
        return Trial(False, "not run by any test", 0, 0.0)

    def run() -> int:
        sys.meta_path.insert(0, _Changed(mutant, root))
        return pytest.main([*PLAIN, "-x", *tests])

    began = time.monotonic()
    status = _forked(run, limit=60 + 3 * sum(tests.values()))
    how = {0: "survived", 1: "a test failed", -signal.SIGXCPU: "too slow", None: "stuck"}
    return Trial(
        status != 0,
        how.get(status, f"exit {status}"),
        len(tests),
        round(time.monotonic() - began, 1),
    )


def record(file: Path, root: Path, folders: list[Path]) -> dict[str, dict]:
    """A file's tests: whether each passes, how long it takes, which lines of `folders` it runs."""
    with tempfile.TemporaryDirectory() as scratch:
        answer = Path(scratch) / "answer.json"

        def run() -> int:
            measured = coverage.Coverage(
                data_file=None, source=[str(folder) for folder in folders], config_file=False
            )
            watch = _Watch(measured)
            measured.start()
            status = pytest.main([*PLAIN, str(file)], plugins=[watch])
            measured.stop()
            answer.write_text(json.dumps(watch.tests(root)))
            return status

        status = _forked(run, limit=1800)
        if status not in (0, 1, pytest.ExitCode.NO_TESTS_COLLECTED):
            raise RuntimeError(f"pytest {file} ended with {status}")
        return json.loads(answer.read_text())


class _Watch:
    """A pytest plugin that keeps apart what each test and each fixture runs."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self.measured = measured
        self.seconds: dict[str, float] = defaultdict(float)
        self.failed: set[str] = set()
        self.skipped: set[str] = set()
        self.fixtures: dict[str, list[str]] = {}
        self.contexts = [""]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.fixtures[item.nodeid] = item.fixturenames
        return (yield from self._in(item.nodeid))

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[None]:
        # A fixture of a module runs once, for all tests that ask for it.
        return (yield from self._in(f"fixture {fixturedef.argname}"))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if report.failed:
            self.failed.add(report.nodeid)
        if report.skipped:
            self.skipped.add(report.nodeid)

    def _in(self, context: str) -> Iterator[None]:
        self.contexts.append(context)
        self.measured.switch_context(context)
        try:
            return (yield)
        finally:
            self.contexts.pop()
            self.measured.switch_context(self.contexts[-1])

    def tests(self, root: Path) -> dict[str, dict]:
        """What `record` returns."""
        lines: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
        data = self.measured.get_data()
        for file in data.measured_files():
            name = str(Path(file).relative_to(root))
            for line, contexts in data.contexts_by_lineno(file).items():
                for context in contexts:
                    lines[context][name].add(line)
        tests = {}
        for test, fixtures in self.fixtures.items():
            if test in self.skipped:
                continue
            ran: dict[str, set[int]] = defaultdict(set)
            for context in (test, *(f"fixture {name}" for name in fixtures)):
                for name, numbers in lines[context].items():
                    ran[name] |= numbers
            tests[test] = {
                "passed": test not in self.failed,
                "seconds": round(self.seconds[test], 3),
                "lines": {name: sorted(numbers) for name, numbers in ran.items()},
            }
        return tests


class _Changed(MetaPathFinder, SourceLoader):
    """Imports one module from its changed source."""

    def __init__(self, mutant: Mutant, root: Path) -> None:
        self.mutant = mutant
        self.file = root / mutant.file
        parts = Path(mutant.file).with_suffix("").parts
        self.is_folder = parts[-1] == "__init__"
        self.name = ".".join(parts[:-1] if self.is_folder else parts)

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        return spec_from_loader(fullname, self, origin=str(self.file), is_package=self.is_folder)

    def get_filename(self, fullname: str) -> str:
        return str(self.file)

    def get_data(self, path: str) -> bytes:
        return self.mutant.applied(self.file.read_text("utf-8")).encode()

    def get_code(self, fullname: str) -> CodeType:
        # Never from the bytecode of the unchanged module.
        return self.source_to_code(self.get_data(""), str(self.file))


def _forked(run: Callable[[], int], limit: float) -> int | None:
    """The exit status of `run` in a child, or minus the number of the signal that ended it.

    Its limit is in seconds of processor time, since others may need the machine as well; None is
    for a child that does nothing for ten times as long.
    """
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
            resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit) + 10))
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), 1)
                os.dup2(nowhere.fileno(), 2)
            os._exit(run())
        finally:
            os._exit(70)
    ended = os.pidfd_open(child)
    try:
        ready, _, _ = select.select([ended], [], [], 10 * limit)
        # The child's own children, if it has left any, end with it.
        os.killpg(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status) if ready else None
    finally:
        os.close(ended)
