"""The result of a benchmark, as a table, JSON, Markdown and a picture."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from keras_bottleneck import checks
from keras_bottleneck.benchmarking.cells import Cell
from keras_bottleneck.benchmarking.tables import Table
from keras_bottleneck.charts import Chart, Disc, accuracy_over_latency
from keras_bottleneck.console import Printable
from keras_bottleneck.export import FORMATS

FORMAT = 1
# Latencies are compared with that of this row.
BASELINE = "tflite"


@dataclass(frozen=True)
class BenchmarkReport(Printable):
    """The result of `benchmark`; printing it shows a table.

    Attributes:
        model: The model's name.
        images: How many images accuracy was measured on.
        labelled: Whether their classes are known.
        calibrated_on: The images that int8 ranges were measured on, in words; None where none
            were.
        machine: The machine that it ran on, in words.
        cells: One `Cell` for each artifact and number of threads.
        min_top1: The least top-1 accuracy that is accepted, from 0 to 1; None for any.
        max_latency_ratio: How many times the median latency of the float TFLite file an exported
            file may take; None for any.

    Example:
        >>> report["tflite_int8"].top1  # doctest: +SKIP
        0.912
    """

    model: str
    images: int
    labelled: bool
    calibrated_on: str | None
    machine: str
    cells: tuple[Cell, ...]
    min_top1: float | None = None
    max_latency_ratio: float | None = None

    def __getitem__(self, key: str | tuple[str, int]) -> Cell:
        """The cell of a row, such as "tflite", or of ("tflite", threads)."""
        for cell in self.cells:
            if key in (cell.name, (cell.name, cell.threads)):
                return cell
        names = dict.fromkeys(cell.name for cell in self.cells)
        raise KeyError(f"{key!r}: this report has {', '.join(names)}")

    @property
    def failed(self) -> bool:
        """Whether a floor is not kept."""
        return bool(self.failures)

    @property
    def failures(self) -> tuple[str, ...]:
        """The floors that are not kept, one sentence for each; empty where none is set.

        Where a floor is set, a cell that did not run does not keep it.
        """
        sentences: list[str] = []
        if self.min_top1 is not None:
            sentences += _too_wrong(self.cells, self.min_top1)
        if self.max_latency_ratio is not None:
            sentences += self._too_slow(self.max_latency_ratio)
        return tuple(dict.fromkeys(sentences))

    def _too_slow(self, limit: float) -> Iterable[str]:
        baselines = {cell.threads: cell for cell in self.cells if cell.name == BASELINE}
        for cell in self.cells:
            if cell.name not in FORMATS:
                continue
            if not cell.ok or cell.p50_ms is None:
                yield _did_not_run(cell)
                continue
            baseline = baselines[cell.threads].p50_ms
            if baseline is None:
                yield f"{_title(cell)} has no latency of {BASELINE} to be compared with."
            elif cell.p50_ms > limit * baseline:
                ratio = cell.p50_ms / baseline
                yield (
                    f"{_title(cell)} takes {cell.p50_ms:.3g} ms, {ratio:.3g} times as long as "
                    f"{BASELINE}: more than the {limit:g} allowed."
                )

    def to_json(self) -> str:
        """All of it as JSON text, for `from_json`."""
        content = {"format": FORMAT, **asdict(self), "failures": self.failures}
        return json.dumps(content, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "BenchmarkReport":
        """The report that `to_json` wrote.

        Raises:
            ValueError: If `text` is not such JSON.
        """
        try:
            content = json.loads(text)
            if content["format"] != FORMAT:
                raise ValueError("another format")
            given = {field.name: content[field.name] for field in fields(cls)}
            return cls(**{**given, "cells": tuple(Cell(**cell) for cell in given["cells"])})
        except (ValueError, KeyError, TypeError):
            raise checks.reject("text", text, "JSON text of a benchmark report") from None

    @property
    def title(self) -> str:
        """What was measured, in one line."""
        return f"{self.model}: every format, judged on {self.images} images"

    @property
    def notes(self) -> tuple[str, ...]:
        """What one must know to read the figures, one sentence each."""
        ranges = f"int8 ranges were measured on {self.calibrated_on}."
        return (
            "Error: largest difference of an output from the float32 Keras model; agree: same top "
            "class as it. Latency of one image at a time.",
            *([] if self.calibrated_on is None else [ranges]),
            f"{self.machine}.",
        )

    def to_markdown(self) -> str:
        """All cells as a Markdown table, followed by the floors that are not kept."""
        return self._table.markdown()

    def chart(self) -> Chart | None:
        """Accuracy over latency, size as area; agreement with Keras where there are no labels.

        Returns:
            The drawing; None if no cell has both.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        threads = len({cell.threads for cell in self.cells}) > 1
        discs = []
        for cell in self.cells:
            part = cell.top1 if self.labelled else cell.agreement
            if part is None or cell.p50_ms is None or cell.size is None:
                continue
            number = f" x{cell.threads}" if threads else ""
            label = f"{cell.format} {cell.precision}{number}"
            discs.append(Disc(label, cell.format, cell.p50_ms, part, cell.size))
        if not discs:
            return None
        what = "top-1 accuracy" if self.labelled else "agreement with Keras"
        return accuracy_over_latency(discs, what, self.model, self.images)

    def plot(self, path: str | Path) -> Path:
        """Draw accuracy against latency, size as area, into a picture at `path`.

        Without labels, it shows agreement with Keras in place of accuracy.

        Returns:
            The path.

        Raises:
            ValueError: If no cell has both an accuracy or agreement and a latency.
            ImportError: If matplotlib is not installed.
        """
        chart = self.chart()
        if chart is None:
            raise checks.reject("report", self.model, "of a classifier with cells that ran")
        return chart.save(path, dpi=130)

    @property
    def _table(self) -> Table:
        return Table(self.title, self.cells, self.notes, self.failures)

    def __rich__(self) -> Any:
        return self._table


def _too_wrong(cells: Iterable[Cell], limit: float) -> Iterable[str]:
    for cell in cells:
        if not cell.ok or cell.top1 is None:
            yield _did_not_run(cell)
        elif cell.top1 < limit:
            yield f"{_title(cell)} has a top-1 accuracy of {cell.top1:.2%}, less than {limit:.2%}."


def _did_not_run(cell: Cell) -> str:
    return f"{_title(cell)} did not run: {cell.status}"


def _title(cell: Cell) -> str:
    return f"{cell.name} with {cell.threads} thread{'s' * (cell.threads != 1)}"
