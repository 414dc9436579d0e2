"""`benchmark`: every format of a model, made, run and compared, one process for each step."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from keras_bottleneck import checks
from keras_bottleneck.benchmarking import inputs, subject
from keras_bottleneck.benchmarking.bench import Bench, calibrated, machine
from keras_bottleneck.benchmarking.report import BASELINE, BenchmarkReport
from keras_bottleneck.benchmarking.rows import ROWS
from keras_bottleneck.benchmarking.store import Store
from keras_bottleneck.console import track
from keras_bottleneck.export.formats import Needs
from keras_bottleneck.files import replace_file

FOLDER, RESULT = "benchmark", "benchmark.json"


def benchmark(
    model: keras.Model | str | Path,
    data: Any,
    *,
    formats: Sequence[str] | None = None,
    threads: Sequence[int] = (1,),
    images: int = 256,
    calibration: Any = None,
    seed: int = 0,
    directory: str | Path | None = None,
    timeout: float = 900.0,
    min_top1: float | None = None,
    max_latency_ratio: float | None = None,
) -> BenchmarkReport:
    """Make every format of `model`, run each in its own runtime, and compare them.

    Each artifact is made and measured in processes of its own: if it fails, crashes or takes too
    long, the status of its cell says so in a sentence, and the others go on. The results are stored
    under a hash of everything they depend on (model, images, versions, machine), so that a second
    call redoes only what has changed.

    Args:
        model: A functional or `Sequential` Keras model of images; the path of a .keras file; or
            that of a run folder, whose best.keras is taken. A float model, or one from `quantize`.
        data: The images to measure accuracy on: an image folder, of which the validation part is
            used; `ImageData`; or a dataset of batches (images, labels) or images, or such arrays.
        formats: Rows of `benchmarking.ROWS`; by default all that can be made of the model.
        threads: Numbers of CPU threads to try.
        images: How many images are used at the most, the first; an image folder mixes its classes.
        calibration: Images that int8 and int16 ranges are measured on, as for `quantize`; by
            default the training part of a folder or `ImageData`, else the images of `data`.
        seed: The one that the training split the image folder with.
        directory: Where artifacts and figures are kept, and benchmark.json with the report. By
            default the folder "benchmark" beside the .keras file; of a Keras model nothing is
            kept.
        timeout: Seconds that a process may take.
        min_top1: The least top-1 accuracy of all cells, from 0 to 1, for `report.failed`.
        max_latency_ratio: How many times the median latency of the float TFLite file with as many
            threads an exported file may take, for `report.failed`.

    Returns:
        A `BenchmarkReport`: print it, `plot` it, ask it whether it has `failed`.

    Raises:
        ValueError: For a wrong argument; nothing has been run.

    Example:
        >>> report = benchmark("run", "flowers", threads=(1, 4), min_top1=0.9)  # doctest: +SKIP
        >>> print(report)  # doctest: +SKIP
        >>> report.plot("benchmark.png")  # doctest: +SKIP
    """
    if keras.config.backend() != "tensorflow":
        raise ValueError(
            "`benchmark` needs Keras on the tensorflow backend, which exports. Received: "
            f"backend={keras.config.backend()!r}"
        )
    counts = checks.integers("threads", threads)
    limit = checks.integer("images", images)
    seed = checks.integer("seed", seed, minimum=0)
    checks.number("timeout", timeout, above=True)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        scratch = Path(folder)
        tested = subject.opened(model, scratch)
        rows = _checked_rows(formats, tested.quantized)
        _check_floors(rows, min_top1, max_latency_ratio)
        calibrates = any(calibrated(row, tested.quantized) for row in rows)
        samples = inputs.collect(data, calibration, tested, limit, seed, calibrates)
        if min_top1 is not None and samples.labels is None:
            raise checks.reject("min_top1", min_top1, "None where `data` has no labels of classes")
        kept = _checked_directory(directory, tested.home) or scratch / "kept"
        bench = Bench(tested, samples, Store(kept), scratch, timeout)
        wanted = [(row, count) for row in rows for count in dict.fromkeys(counts)]
        report = BenchmarkReport(
            model=tested.model.name,
            images=len(samples.images),
            labelled=samples.labels is not None,
            calibrated_on=samples.calibrated_on,
            machine=machine(),
            cells=tuple(
                bench.cell(*one) for one in track(wanted, len(wanted), f"benchmark {bench.name}")
            ),
            min_top1=min_top1,
            max_latency_ratio=max_latency_ratio,
        )
        replace_file(kept / RESULT, report.to_json().encode())
    return report


def _checked_rows(formats: Any, quantized: bool) -> list[str]:
    fitting = [name for name, row in ROWS.items() if not quantized or row.needs is Needs.QUANTIZED]
    if formats is None:
        return fitting
    if isinstance(formats, str) or not isinstance(formats, Sequence) or not formats:
        accepted = f"a sequence of names out of {', '.join(fitting)}"
        raise checks.reject("formats", formats, accepted)
    return list(dict.fromkeys(checks.one_of("formats", one, fitting) for one in formats))


def _check_floors(rows: list[str], min_top1: Any, max_latency_ratio: Any) -> None:
    if min_top1 is not None:
        checks.number("min_top1", min_top1, 0.0, 1.0)
    if max_latency_ratio is None:
        return
    checks.number("max_latency_ratio", max_latency_ratio, above=True)
    if BASELINE not in rows:
        accepted = f"None where {BASELINE!r}, which latencies are compared with, is not measured"
        raise checks.reject("max_latency_ratio", max_latency_ratio, accepted)


def _checked_directory(directory: Any, home: Path | None) -> Path | None:
    if directory is None:
        if home is None:
            return None
        directory = home / FOLDER
    if not isinstance(directory, (str, Path)) or not str(directory):
        raise checks.reject("directory", directory, "the path of a folder")
    try:
        Path(directory).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        accepted = f"a folder or a new path ({error.strerror})"
        raise checks.reject("directory", str(directory), accepted) from None
    return Path(directory).absolute()
