"""`report`: a run as one page."""

from pathlib import Path
from typing import Annotated

import typer

from keras_bottleneck.cli import options
from keras_bottleneck.cli.outcome import Outcome


def run(
    run: Annotated[Path, typer.Argument(help="Folder of a run.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="File for the page; by default report.html in the folder.")
    ] = None,
    data: options.RunData = None,
    images: Annotated[int, typer.Option(help="Use at most so many images.")] = 1000,
    sensitivity: Annotated[
        bool, typer.Option(help="Measure what each layer loses in int8, which takes longest.")
    ] = True,
    seed: options.Seed = None,
) -> Outcome:
    """Write curves, mistakes, sensitivity, benchmark and files of a run as one HTML page.

    Example: keras-bottleneck report run
    """
    from keras_bottleneck.cli.inputs import source
    from keras_bottleneck.reporting import write_report

    given = source(run)
    page = write_report(
        run,
        out,
        data=given.data(data),
        images=images,
        sensitivity=sensitivity,
        seed=given.seed(seed),
    )
    return Outcome(f"{page} is written: open it in a browser.", {"path": page})
