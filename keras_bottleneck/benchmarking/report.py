"""What a benchmark has found, as a table, JSON, Markdown and a picture."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from keras_bottleneck import checks
from keras_bottleneck.benchmarking import picture, tables
from keras_bottleneck.export import FORMATS
from keras_bottleneck.printing import Printable

FORMAT = 1
OK = "ok"
# Latencies are compared with that of this row.
BASELINE = "tflite"


@dataclass(frozen=True)
class Cell:
    """One artifact in its runtime with a number of threads.

    Attributes:
        name: A row of `ROWS`, such as "tflite_int8".
        format: What it is, such as "tflite".
        precision: What its weights are stored in: "float32", "float16", "dynamic" (int8 weights),
            "int8" or "int16".
        threads: CPU threads.
        status: "ok", or one sentence that says what failed; the figures are then None.
        size: Bytes of the file or folder.
        top1: Part of the images (of a segmenter, of the pixels) whose most probable class is the
            true one; None without labels.
        top5: Part with the true one among the five most probable; None up to five classes.
        error: Largest difference of an output from the float32 Keras model: absolute for
            probabilities, as a part of the largest output otherwise.
        agreement: Part with the same most probable class as the float32 Keras model.
        load_ms: Milliseconds to load it, the runtime's library not counted.
        p50_ms: Median milliseconds for one image, in batches of one.
        p90_ms: Nine tenths of the images took no longer than these milliseconds.
        images_per_s: Images in a second, one after the other.
        peak_bytes: Most memory that was resident in a process that runs it and nothing else:
            with Python and the runtime, without the images.
    """

    name: str
    format: str
    precision: str
    threads: int
    status: str = OK
    size: int | None = None
    top1: float | None = None
    top5: float | None = None
    error: float | None = None
    agreement: float | None = None
    load_ms: float | None = None
    p50_ms: float | None = None
    p90_ms: float | None = None
    images_per_s: float | None = None
    peak_bytes: int | None = None

    @property
    def ok(self) -> bool:
        """Whether it ran."""
        return self.status == OK


@dataclass(frozen=True)
class BenchmarkReport(Printable):
    """The result of `benchmark`; printing it shows a table.

    Attributes:
        model: The model's name.
        images: How many images it was judged on.
        labelled: Whether their classes were known.
        calibrated_on: The images that int8 ranges were measured on, in words; None where none
            were.
        machine: What all of it ran on.
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
        found: list[str] = []
        if self.min_top1 is not None:
            found += _too_wrong(self.cells, self.min_top1)
        if self.max_latency_ratio is not None:
            found += self._too_slow(self.max_latency_ratio)
        return tuple(dict.fromkeys(found))

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

    def to_markdown(self) -> str:
        """All cells as a Markdown table, with the floors that are not kept beneath."""
        return tables.markdown(self)

    def plot(self, path: str | Path) -> Path:
        """Draw accuracy against latency, size as area, into a picture at `path`.

        Without labels, agreement with Keras stands for accuracy.

        Returns:
            The path.

        Raises:
            ValueError: If no cell has both an accuracy or agreement and a latency.
            ImportError: If matplotlib is not installed.
        """
        picture.figure(self).savefig(path, dpi=130)
        return Path(path)

    def __rich__(self) -> Any:
        return tables.Terminal(self)


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
