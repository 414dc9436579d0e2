"""`export`: from a trained network to files that have been run and compared."""

from pathlib import Path
from typing import Annotated

import typer

from keras_bottleneck.cli import options
from keras_bottleneck.cli.outcome import Outcome


def run(
    path: options.Trained,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the files; by default `exported` beside the model."),
    ] = None,
    formats: Annotated[
        str | None,
        typer.Option(
            autocompletion=options.formats,
            help="Separated by commas; by default saved_model,tflite,onnx, or of a quantized "
            "model tflite_int8,onnx_int8.",
        ),
    ] = None,
    data: options.RunData = None,
    seed: options.Seed = None,
    name: Annotated[str | None, typer.Option(help="What the file names begin with.")] = None,
    image_size: options.ImageSize = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Images that a file takes at once; 0 for any number.")
    ] = 1,
) -> Outcome:
    """Write a trained network as SavedModel, TFLite or ONNX files, run each, and compare.

    They are compared on the validation images of --data, or on noise without it.

    Example: keras-bottleneck export run --formats tflite,tflite_float16,onnx
    """
    from keras_bottleneck import trained_model
    from keras_bottleneck.cli.inputs import source
    from keras_bottleneck.data.for_models import images_for
    from keras_bottleneck.export import export_model

    given = source(path)
    target = given.exports(out)
    trained = trained_model.opened(given.path)
    folder = given.data(data)
    split = given.seed(seed)
    images = None
    if folder is not None:
        images = images_for(trained.preprocessing, trained.labels, folder, seed=split)
    wanted = options.listed(formats)
    report = export_model(
        trained.model,
        target,
        wanted,
        name=name,
        labels=trained.labels,
        preprocessing=trained.preprocessing,
        task=trained.task,
        verify=images.validation if images else None,
        calibration=images.train if images and "tflite_int16" in (wanted or ()) else None,
        image_size=image_size,
        batch_size=batch_size or None,
    )
    files = [artifact.path for artifact in report.artifacts if artifact.path.is_file()]
    after = ("audit", files[0]) if files else ("predict", report.artifacts[0].path, "IMAGE")
    return Outcome(report, report, after)
