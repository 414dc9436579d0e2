"""`benchmark`: every format of a network, run and compared."""

from pathlib import Path
from typing import Annotated

import typer

from keras_bottleneck import checks
from keras_bottleneck.cli import options
from keras_bottleneck.cli.exit_codes import DONE, FAILED
from keras_bottleneck.cli.outcome import Outcome, jsonable

# Those that a file by itself can have; the others ask for its model.
OF_FILES = {"path", "threads", "timeout", "as_json"}


def run(
    ctx: typer.Context,
    path: Annotated[
        Path,
        typer.Argument(
            help="Folder of a run, or a .keras file. Of a .tflite or .onnx file, or the folder of "
            "an export, only time and memory are measured.",
            show_default=False,
        ),
    ],
    data: options.RunData = None,
    formats: Annotated[
        str | None,
        typer.Option(
            help="Rows of the table, separated by commas; by default all that can be made."
        ),
    ] = None,
    threads: Annotated[
        str, typer.Option(help="Numbers of CPU threads, separated by commas.")
    ] = "1",
    images: Annotated[int, typer.Option(help="Use at most so many images.")] = 256,
    seed: options.Seed = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for files and figures; by default `benchmark`.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds for each step of a cell.")] = 900.0,
    min_top1: Annotated[
        float | None, typer.Option(help="Fail below this top-1 accuracy, from 0 to 1.")
    ] = None,
    max_latency_ratio: Annotated[
        float | None,
        typer.Option(
            help="Fail where a file takes so many times as long as the float .tflite file."
        ),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Markdown file to write the table into.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Picture to draw accuracy over latency into.")
    ] = None,
) -> Outcome:
    """Compare size, accuracy, time and memory of every format.

    A second call only measures what has changed. Exit code 1: below a floor, or above a ratio.

    Example: keras-bottleneck benchmark run --threads 1,4 --min-top1 0.9
    """
    from keras_bottleneck.cli.inputs import source
    from keras_bottleneck.runtime import artifact

    counts = options.counts("threads", threads)
    if files := artifact.native_files(path):
        return _of_files(ctx, files, counts, timeout)
    from keras_bottleneck.benchmarking import benchmark

    if out is not None:
        checks.folder_to_write("out", out)
    given = source(path)
    folder = given.folder(data)
    report = benchmark(
        given.path,
        folder,
        formats=options.listed(formats),
        threads=counts,
        images=images,
        seed=given.seed(seed),
        directory=out,
        timeout=timeout,
        min_top1=min_top1,
        max_latency_ratio=max_latency_ratio,
    )
    if markdown is not None:
        markdown.write_text(report.to_markdown())
    if plot is not None:
        report.plot(plot)
    content = {**jsonable(report), "failures": report.failures}
    after = ("report", path) if given.run else ()
    return Outcome(report, content, after, FAILED if report.failed else DONE)


def _of_files(ctx: typer.Context, files: list[Path], threads: list[int], timeout: float) -> Outcome:
    """Time and memory of exported files, for which Keras need not be installed.

    Raises:
        ValueError: If options ask for more than that.
    """
    from keras_bottleneck.runtime import figures

    if others := options.given(ctx) - OF_FILES:
        accepted = (
            f"a run or a .keras file, with `{min(others)}`: of exported files, time and memory "
            "are measured"
        )
        raise checks.reject("path", str(ctx.params["path"]), accepted)
    report = figures.benchmarked(files, threads, timeout)
    content = {**jsonable(report), "failures": report.failures}
    return Outcome(report, content, ("audit", files[0]), FAILED if report.failures else DONE)
