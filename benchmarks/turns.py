"""Contenders that take turns, so that a machine whose speed drifts is fair to all of them.

In each round every contender runs once; the order is reversed from round to round. What is
reported is the median over rounds of the ratio within a round, and the quartiles of it.
"""

import gc
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from keras_bottleneck.version import versions


@dataclass
class Contender:
    """One way of doing the work.

    Args:
        name: Its row in the table.
        run: Does the work of one turn.
        items: How many images, or whatever is counted, a turn works through.
    """

    name: str
    run: Callable[[], Any]
    items: int = 1
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    peak_mib: float | None = None

    def take_turn(self) -> None:
        cpu, start = time.process_time(), time.perf_counter()
        self.run()
        self.seconds.append(time.perf_counter() - start)
        self.cpu_seconds.append(time.process_time() - cpu)

    def percentile(self, part: int) -> float:
        """Seconds of an item that `part` percent of the turns stayed within."""
        ranked = sorted(self.seconds)
        return ranked[min(len(ranked) * part // 100, len(ranked) - 1)] / self.items


def compete(contenders: Sequence[Contender], rounds: int, warm_up: int = 1) -> None:
    """Fill in the times of all contenders."""
    for contender in contenders:
        for _ in range(warm_up):
            contender.run()
    for number in range(rounds):
        gc.collect()
        for contender in contenders[:: -1 if number % 2 else 1]:
            contender.take_turn()


@dataclass(frozen=True)
class Ratio:
    """How many times as fast one contender is as another, in the rounds that they share."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, one: Contender, other: Contender) -> "Ratio":
        pairs = zip(one.seconds, other.seconds, strict=True)
        found = sorted((b / other.items) / (a / one.items) for a, b in pairs)
        low, _, high = statistics.quantiles(found, n=4) if len(found) > 1 else 3 * found
        return cls(statistics.median(found), low, high)

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}-{self.high:.2f})"


@dataclass
class Event:
    """Contenders that did the same work; the first one is compared with each of the others."""

    title: str
    contenders: list[Contender]
    missing: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def ratios(self) -> dict[str, Ratio]:
        first, *others = self.contenders
        return {other.name: Ratio.of(first, other) for other in others}

    def table(self) -> Table:
        first = self.contenders[0]
        shown = Table(title=self.title)
        shown.add_column("contender", no_wrap=True)
        for heading in ("items/s", "p50", "p90", "CPU s/turn", "peak MiB", f"{first.name} is"):
            shown.add_column(heading, justify="right")
        for one in self.contenders:
            shown.add_row(
                one.name,
                f"{1 / one.percentile(50):.3g}",
                _time(one.percentile(50)),
                _time(one.percentile(90)),
                f"{statistics.median(one.cpu_seconds):.3g}",
                "" if one.peak_mib is None else f"{one.peak_mib:.0f}",
                "" if one is first else f"{self.ratios[one.name]} x",
            )
        for name, reason in self.missing.items():
            shown.add_row(name, reason)
        return shown

    def as_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            **self.facts,
            "missing": self.missing,
            "contenders": [
                {
                    "name": one.name,
                    "items": one.items,
                    "seconds": one.seconds,
                    "cpu_seconds": one.cpu_seconds,
                    "peak_mib": one.peak_mib,
                }
                for one in self.contenders
            ],
            "first_is_times_as_fast_as": {name: vars(ratio) for name, ratio in self.ratios.items()},
        }


def _time(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def show(event: Event) -> None:
    """Print the table of an event."""
    Console(width=140).print(event.table())


def write(events: Sequence[Event], path: Path, *packages: str) -> None:
    """Write all figures, and the versions of `packages`, to a JSON file."""
    about = {"versions": versions(*packages), "events": [one.as_json() for one in events]}
    path.write_text(json.dumps(about, indent=1))
