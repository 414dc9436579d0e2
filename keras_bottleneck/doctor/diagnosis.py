"""All that was found, as a table and as JSON."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from keras_bottleneck import checks
from keras_bottleneck.console import Printable
from keras_bottleneck.doctor.combinations import KNOWN_BAD
from keras_bottleneck.doctor.environment import Environment
from keras_bottleneck.doctor.requirements import unmet
from keras_bottleneck.doctor.trials import Outcome, run_all

STYLES = {"runs": "green", "not installed": "dim"}


@dataclass(frozen=True)
class Complaint:
    """Something that does not work, or is worth knowing.

    Attributes:
        sentence: What it is.
        fix: What to do about it.
        link: Where it was reported; None where it was found out here.
        problem: Whether something does not work because of it.
    """

    sentence: str
    fix: str
    link: str | None = None
    problem: bool = True

    def __str__(self) -> str:
        where = "" if self.link is None else f" ({self.link})"
        return f"{self.sentence}; {self.fix}{where}"


@dataclass(frozen=True)
class Diagnosis(Printable):
    """The result of `examine`; printing it shows tables.

    Attributes:
        environment: Versions, variables and processor.
        outcomes: How each library ran a model of two operators; empty if that was not asked for.
        complaints: What does not work, with the fix of each, and what is worth knowing.
    """

    environment: Environment
    outcomes: tuple[Outcome, ...]
    complaints: tuple[Complaint, ...]

    @property
    def problems(self) -> list[str]:
        """What does not work, one sentence each; empty where all is well."""
        return [str(complaint) for complaint in self.complaints if complaint.problem]

    @property
    def onednn(self) -> bool | None:
        """Whether TensorFlow said that oneDNN is on; None where it was not run."""
        return next(
            (outcome.onednn for outcome in self.outcomes if outcome.onednn is not None), None
        )

    def to_json(self) -> str:
        """Everything as JSON, to be kept or sent along with a question."""
        here = asdict(self.environment)
        here["cpu_flags"] = None if here["cpu_flags"] is None else sorted(here["cpu_flags"])
        content = {
            "environment": here,
            "onednn": self.onednn,
            "runtimes": [asdict(outcome) for outcome in self.outcomes],
            "complaints": [asdict(complaint) for complaint in self.complaints],
            "problems": self.problems,
        }
        return json.dumps(content, indent=2)

    def __rich__(self) -> Any:
        from rich.console import Group

        parts = [self._versions(), self._machine()]
        if self.outcomes:
            parts.append(self._runtimes())
        if self.complaints:
            parts.append(self._complaints())
        else:
            parts.append("No complaints.")
        return Group(*parts)

    def _versions(self) -> Any:
        from rich.table import Table

        table = Table(title="Versions", title_justify="left")
        for _ in range(2):
            table.add_column("package")
            table.add_column("version")
        rows = [(name, version or "[dim]not installed[/]") for name, version in self._packages()]
        half = (len(rows) + 1) // 2
        for left, right in zip(rows[:half], [*rows[half:], ("", "")], strict=False):
            table.add_row(*left, *right)
        return table

    def _packages(self) -> list[tuple[str, str | None]]:
        return [("python", self.environment.python), *self.environment.versions.items()]

    def _machine(self) -> Any:
        from rich.table import Table

        here = self.environment
        table = Table(title="Machine", title_justify="left", show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        table.add_row("system", " ".join(filter(None, (here.system, here.libc))))
        flags = "unknown" if here.cpu_flags is None else ", ".join(sorted(here.cpu_flags)) or "none"
        table.add_row("processor", f"{here.machine}, {here.cores} cores; {flags}")
        table.add_row("int8", self._int8())
        if self.onednn is not None:
            table.add_row("oneDNN", "on" if self.onednn else "off, in this TensorFlow on this CPU")
        table.add_row("Keras backend", here.backend)
        for name, value in here.variables.items():
            table.add_row(name, value)
        return table

    def _int8(self) -> str:
        vnni = self.environment.has_vnni
        if vnni is None:
            return "unknown: this system does not list the features of its processor"
        if vnni:
            return "dot products in hardware: int8 files are fast, and exact in every runtime"
        return "no dot products in hardware: int8 files gain less"

    def _runtimes(self) -> Any:
        from rich.table import Table

        table = Table(title="Two operators, a process each", title_justify="left")
        table.add_column("library", no_wrap=True)
        table.add_column("", no_wrap=True)
        table.add_column("seconds", justify="right")
        table.add_column("detail", overflow="fold")
        for outcome in self.outcomes:
            style = STYLES.get(outcome.status, "red")
            seconds = "" if outcome.seconds is None else f"{outcome.seconds:.1f}"
            detail = "; ".join(filter(None, (outcome.detail, outcome.fix)))
            table.add_row(outcome.name, f"[{style}]{outcome.status}[/]", seconds, detail)
        return table

    def _complaints(self) -> Any:
        from rich.table import Table

        table = Table(title="Complaints", title_justify="left", show_lines=True)
        table.add_column("", no_wrap=True)
        table.add_column("what", overflow="fold", ratio=3)
        table.add_column("fix", overflow="fold", ratio=2)
        for complaint in self.complaints:
            kind = "[red]problem[/]" if complaint.problem else "note"
            what = (
                complaint.sentence
                if complaint.link is None
                else f"{complaint.sentence}\n[dim]{complaint.link}[/]"
            )
            table.add_row(kind, what, complaint.fix)
        return table


def examine(trials: bool = True, timeout: float = 120.0) -> Diagnosis:
    """Look at what is installed, and try whether it runs.

    Nothing is imported into this process: each library runs a model of two operators, written
    into a temporary folder, in a process of its own.

    Args:
        trials: Whether to try; without, only versions and combinations are looked at.
        timeout: Seconds that one library may take.

    Returns:
        A `Diagnosis`; printing it shows tables, `.problems` is empty where all is well.

    Raises:
        ValueError: For a wrong argument.

    Example:
        >>> examine(trials=False).environment.versions["keras-bottleneck"]
        '0.1.0'
    """
    checks.boolean("trials", trials)
    limit = checks.number("timeout", timeout, above=True)
    here = Environment.here()
    outcomes = run_all(here, limit) if trials else ()
    known = [
        Complaint(row.sentence, row.fix, row.link, row.problem)
        for row in KNOWN_BAD
        if row.found(here)
    ]
    failed = [
        Complaint(f"{outcome.name} {outcome.status}: {outcome.detail}", outcome.fix)
        for outcome in outcomes
        if outcome.status not in ("runs", "not installed")
    ]
    wanted = [Complaint(each.sentence, each.fix) for each in unmet(here.versions)]
    complaints = sorted([*known, *wanted, *failed], key=lambda complaint: not complaint.problem)
    return Diagnosis(here, outcomes, tuple(complaints))
