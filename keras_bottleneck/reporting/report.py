"""`write_report`: a run as one page that needs nothing but itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_bottleneck import charts, checks
from keras_bottleneck.benchmarking import BenchmarkReport, inputs, subject, tables
from keras_bottleneck.evaluation import Answers, Evaluation, Mistake
from keras_bottleneck.evaluation.metrics import measured, written
from keras_bottleneck.evaluation.rows import rows
from keras_bottleneck.files import replace_file
from keras_bottleneck.quantization import Sensitivity
from keras_bottleneck.quantization import sensitivity as measure_sensitivity
from keras_bottleneck.reporting import run_folder
from keras_bottleneck.reporting.pictures import data_url, element
from keras_bottleneck.runs.folder import columns, read_metrics
from keras_bottleneck.runtime.artifact import BEST
from keras_bottleneck.version import __version__

PAGE = "report.html"
TEMPLATE = "page.html.jinja"
# With more classes the matrix can no longer be read; the pairs beside it still can.
MATRIX_CLASSES = 30
PAIRS = 12
WORST = 12
BARS = 20


def write_report(
    run: str | Path,
    path: str | Path | None = None,
    *,
    data: Any = None,
    images: int = 1000,
    sensitivity: bool = True,
    seed: int = 0,
) -> Path:
    """Write a run as one HTML page, with its charts and pictures inside it.

    The page loads nothing and runs no scripts. It shows the training curves (metrics.csv), which
    classes best.keras confuses, its worst mistakes, the layers that lose most in int8, the last
    benchmark, and the files with their sha256. Sections for which there are no data are left out.

    Args:
        run: The run folder.
        path: Where the page goes; by default report.html in the run folder.
        data: The images to evaluate best.keras on, as for `benchmark`: an image folder,
            `ImageData`, or a dataset or arrays with labels. Without it confusions, worst images and
            sensitivity are left out.
        images: How many images are used at the most.
        sensitivity: Whether to quantize one layer after the other; it takes the most time.
        seed: The one that the training split the image folder with.

    Returns:
        The path of the page.

    Raises:
        ValueError: If `run` is no folder or holds damaged files, `data` does not fit the model, or
            `path` cannot be written to.
        ImportError: If jinja2 or matplotlib is not installed.

    Example:
        >>> write_report("run", data="flowers")  # doctest: +SKIP
        PosixPath('run/report.html')
    """
    template = _template()
    folder = _checked_run(run)
    target = folder / PAGE if path is None else _checked_path(path)
    limit = checks.integer("images", images)
    checks.boolean("sensitivity", sensitivity)
    seed = checks.integer("seed", seed, minimum=0)
    metrics = columns(read_metrics(folder, growing=True))
    report = run_folder.benchmark(folder)
    content = {
        "title": f"Run {folder.resolve().name}",
        "version": __version__,
        "settings": run_folder.settings(folder),
        "curves": _curves(metrics),
        "files": run_folder.files(folder),
        **_benchmark(report),
    }
    judged = _Judged() if data is None else _judged(folder, data, limit, sensitivity, seed)
    content |= {**_evaluation(judged), **_sensitivity(judged.sensitivity)}
    content["tiles"] = _tiles(metrics, judged.evaluation, report)
    replace_file(target, template.render(content).encode())
    return target


def _template() -> Any:
    try:
        import jinja2
        import matplotlib  # noqa: F401, asked for here: not to be missed after minutes of work
    except ImportError as error:
        raise ImportError(
            f'`write_report` needs pip install "keras-bottleneck[report]" ({error}).'
        ) from None
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template(TEMPLATE)


def _checked_run(run: Any) -> Path:
    if not isinstance(run, (str, Path)) or not Path(run).is_dir():
        raise checks.reject("run", run if run is None else str(run), "an existing run folder")
    return Path(run)


def _checked_path(path: Any) -> Path:
    accepted = "a file in an existing folder"
    if not isinstance(path, (str, Path)) or Path(path).is_dir() or not Path(path).parent.is_dir():
        raise checks.reject("path", str(path), accepted)
    return Path(path)


@dataclass(frozen=True)
class _Judged:
    """The answers of best.keras: the parts of the page that need images."""

    evaluation: Evaluation | None = None
    mistakes: tuple[Mistake, ...] = ()
    sensitivity: Sensitivity | None = None


def _judged(run: Path, data: Any, limit: int, sensitivity: bool, seed: int) -> _Judged:
    if not (run / BEST).is_file():
        raise checks.reject("data", data, f"None for a run folder without {BEST}")
    tested = subject.opened(run, run)
    samples = inputs.collect(data, None, tested, limit, seed, calibrates=False, tests=True)
    answers = Answers(tested.run(samples.images), tested.output_name, tested.task)
    evaluation = Evaluation(answers, samples.labels, labels=tested.labels)
    noise = None
    if sensitivity and not tested.quantized:
        noise = measure_sensitivity(tested.model, samples.images, skip="unsupported")
    if not evaluation.of_whole_images:
        return _Judged(sensitivity=noise)
    mistakes = evaluation.mistakes(samples.images, tested.preprocessing, WORST)
    return _Judged(evaluation, mistakes, noise)


def _curves(metrics: dict[str, list[float]]) -> list[Any]:
    names = dict.fromkeys(name.removeprefix("val_") for name in metrics)
    return [element(charts.curve(name, metrics), f"curve {name}") for name in names]


def _evaluation(judged: _Judged) -> dict[str, Any]:
    evaluation = judged.evaluation
    if evaluation is None:
        return {"evaluation": None, "classes": [], "mistakes": []}
    readable = evaluation.answers.classes is not None and len(evaluation.names) <= MATRIX_CLASSES
    chart = charts.confusion(evaluation.names, evaluation.confusion) if readable else None
    return {
        "evaluation": evaluation,
        "figures": written(measured(evaluation)),
        "confusion": element(chart, "confusion") if chart else None,
        "numbered": chart.numbered if chart else {},
        "confused": evaluation.confused(PAIRS),
        "classes": rows(evaluation.answers.task, evaluation.by_class(), evaluation.by_number()),
        "mistakes": [(data_url(mistake.pixels), mistake) for mistake in judged.mistakes],
    }


def _sensitivity(noise: Sensitivity | None) -> dict[str, Any]:
    chart = charts.sensitivity(noise.layers[:BARS], noise.whole) if noise else None
    return {
        "sensitivity": noise,
        "sensitivity_chart": element(chart, "sensitivity") if chart else None,
    }


def _benchmark(report: BenchmarkReport | None) -> dict[str, Any]:
    if report is None:
        return {"benchmark": None}
    chart = report.chart()
    headed = [(column, _kind(column)) for column in tables.COLUMNS]
    return {
        "benchmark": report,
        "benchmark_chart": element(chart, "benchmark") if chart else None,
        "benchmark_headings": [(column.title, kind) for column, kind in headed],
        "benchmark_rows": [
            [(column.text(cell), kind) for column, kind in headed] for cell in report.cells
        ],
        "benchmark_notes": report.notes,
    }


def _kind(column: tables.Column) -> str:
    return "number" if column.number else ""


def _tiles(
    metrics: dict[str, list[float]], evaluation: Evaluation | None, report: BenchmarkReport | None
) -> list[tuple[str, str]]:
    """The few figures that people look for first."""
    tiles = []
    if evaluation is not None:
        tiles += written(measured(evaluation))[:1]
    if metrics:
        tiles.append(("epochs", str(max(map(len, metrics.values())))))
    if values := metrics.get("val_accuracy"):
        tiles.append(("best validation accuracy", f"{max(values):.1%}"))
    if values := metrics.get("val_mae"):
        tiles.append(("best mean absolute error", f"{min(values):.4g}"))
    ran = [cell for cell in report.cells if cell.ok and cell.p50_ms] if report else []
    if ran:
        fastest = min(ran, key=lambda cell: cell.p50_ms or 0)
        tiles.append((f"fastest: {fastest.name}", f"{fastest.p50_ms:.3g} ms"))
        tiles.append((f"size of {fastest.name}", f"{(fastest.size or 0) / 1e6:.3g} MB"))
    return tiles
