"""What exported files cost on this machine: nothing but their own runtimes is needed."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_bottleneck.checks import integers, number, reject
from keras_bottleneck.console import Printable
from keras_bottleneck.runtime import load, manifest, processes

MEASURING = "keras_bottleneck.runtime.measuring"
# What an artifact computes does not change its time: it is given noise.
SAMPLES = 8


@dataclass(frozen=True)
class Figures:
    """One file with one number of threads.

    Attributes:
        file: Its name.
        threads: CPU threads.
        size: Bytes of the file.
        load_ms: Milliseconds until it is opened.
        p50_ms: Median time for an image, in milliseconds.
        p90_ms: The time that nine of ten images stay below.
        images_per_s: Images a second.
        peak_bytes: The most memory that was resident; None where the system does not tell.
        problem: Why there are no figures, as a sentence; None where there are.
    """

    file: str
    threads: int
    size: int
    load_ms: float | None = None
    p50_ms: float | None = None
    p90_ms: float | None = None
    images_per_s: float | None = None
    peak_bytes: int | None = None
    problem: str | None = None


@dataclass(frozen=True)
class FileBenchmark(Printable):
    """What `benchmarked` returns; printing it shows a table.

    Attributes:
        rows: The `Figures` of each file with each number of threads.
    """

    rows: tuple[Figures, ...]

    @property
    def failures(self) -> tuple[str, ...]:
        """A sentence for each row without figures."""
        return tuple(f"{row.file}: {row.problem}" for row in self.rows if row.problem)

    def __rich__(self) -> Any:
        from rich.table import Table

        table = Table(title="Exported files on this machine")
        table.add_column("file", overflow="fold", min_width=20)
        for heading in ("threads", "size MB", "load ms", "p50 ms", "p90 ms", "peak MB"):
            table.add_column(heading, justify="right")
        for row in self.rows:
            peak = None if row.peak_bytes is None else row.peak_bytes / 1e6
            figures = (row.size / 1e6, row.load_ms, row.p50_ms, row.p90_ms, peak)
            shown = ("" if one is None else f"{one:.3g}" for one in figures)
            table.add_row(row.file, str(row.threads), *shown)
        table.caption = "\n".join(self.failures) or None
        return table


def benchmarked(
    files: Sequence[Path], threads: Sequence[int] = (1,), timeout: float = 900.0
) -> FileBenchmark:
    """Measure .tflite and .onnx files, each in a process of its own that has only its runtime.

    Args:
        files: Their paths.
        threads: Numbers of CPU threads to try.
        timeout: Seconds that a process may take.

    Raises:
        ValueError: If an argument is wrong, or a file is missing or damaged.
        ImportError: If the runtime of a file is not installed; the message names it.

    Example:
        >>> print(benchmarked([Path("exported/resnet18.tflite")]))  # doctest: +SKIP
    """
    counts = integers("threads", threads)
    number("timeout", timeout, above=True)
    shapes = {file: _shape(file) for file in files}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        return FileBenchmark(
            tuple(
                _measured(file, count, shape, Path(scratch), timeout)
                for file, shape in shapes.items()
                for count in dict.fromkeys(counts)
            )
        )


def _shape(file: Path) -> tuple[int, ...]:
    """The shape of a sample, without its batch."""
    predictor = load(file)
    if not predictor.single:
        raise reject("path", str(file), "a file with one input and one output")
    shape = predictor.input_shape[1:]
    if predictor.preprocessing is not None:
        return predictor.preprocessing.input_shape
    fixed = tuple(side for side in shape if side is not None)
    if len(fixed) < len(shape):
        raise reject("path", str(file), "a file whose input has a fixed size")
    return fixed


def _measured(
    file: Path, threads: int, shape: tuple[int, ...], scratch: Path, timeout: float
) -> Figures:
    inputs = scratch / "inputs.npy"
    noise = np.random.default_rng(0).standard_normal((SAMPLES, *shape), np.float32)
    np.save(inputs, noise)
    job = {
        "artifact": str(file),
        "threads": threads,
        "inputs": str(inputs),
        "outputs": str(scratch / "outputs.npy"),
    }
    blank = Figures(file.name, threads, manifest.size_of(file))
    try:
        found = processes.run(MEASURING, job, scratch, timeout, keras=False)
    except processes.JobError as error:
        found = {"problem": str(error)}
    return Figures(**{**vars(blank), **found})
