"""`evaluate`: how well an artifact does on images."""

from typing import Annotated

import typer

from keras_bottleneck.cli import options
from keras_bottleneck.cli.outcome import Outcome


def run(
    path: options.Artifact,
    data: options.RunData = None,
    subset: Annotated[
        str | None,
        typer.Option(
            help="Part of the images: test, validation, train or both; by default test, if there "
            "is such a part, and validation elsewhere."
        ),
    ] = None,
    seed: options.Seed = None,
    batch_size: options.BatchSize = 32,
    threads: Annotated[
        int | None, typer.Option(help="CPU threads, for .tflite and .onnx files.")
    ] = None,
    tta: Annotated[
        str | None, typer.Option(help="flip: also with the mirror image of each, averaged.")
    ] = None,
) -> Outcome:
    """Show accuracy, loss and the results of each class, label or number on a folder of images.

    Example: keras-bottleneck evaluate run/exported/resnet18_int8.tflite --data flowers
    """
    from keras_bottleneck.analysis import evaluate
    from keras_bottleneck.cli.inputs import source

    given = source(path)
    folder = given.folder(data)
    report = evaluate(
        given.path,
        folder,
        subset=subset,
        seed=given.seed(seed),
        batch_size=batch_size,
        threads=threads,
        tta=tta,
    )
    if given.path.suffix == ".keras":
        words = () if given.run else ("--data", folder)
        return Outcome(report, report, ("quantize", path, *words))
    return Outcome(report, report, ("predict", path, "IMAGE"))
