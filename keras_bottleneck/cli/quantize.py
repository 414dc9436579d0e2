"""`quantize`: from a trained network to int8 files that have been run and compared."""

from pathlib import Path
from typing import Annotated

import typer

from keras_bottleneck.cli import options
from keras_bottleneck.cli.outcome import Outcome


def run(
    path: options.Trained,
    data: options.RunData = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the files; by default `exported` beside the model."),
    ] = None,
    formats: Annotated[
        str,
        typer.Option(
            autocompletion=options.formats,
            help="tflite_int8 or onnx_int8, or both, separated by a comma.",
        ),
    ] = "tflite_int8,onnx_int8",
    rounding: Annotated[
        str, typer.Option(help="nearest, or adaptive, which is slower and more exact.")
    ] = "nearest",
    reduce_range: Annotated[
        bool, typer.Option(help="Make int8 .onnx files right on x86 processors without VNNI, too.")
    ] = True,
    calibrator: Annotated[
        str, typer.Option(help="How ranges are chosen: mse, minmax, percentile or entropy.")
    ] = "mse",
    skip: Annotated[
        str | None,
        typer.Option(help="Layers to leave in float, separated by commas; or unsupported."),
    ] = None,
    keep_accuracy: Annotated[
        float | None, typer.Option(help="How much accuracy may be lost at most, such as 0.005.")
    ] = None,
    images: Annotated[int, typer.Option(help="Calibrate on at most so many images.")] = 512,
    io_type: Annotated[
        str, typer.Option(help="What the .tflite file takes: float32, int8 or uint8.")
    ] = "float32",
    allow_float: Annotated[
        bool, typer.Option("--allow-float", help="Accept files with operators in float.")
    ] = False,
    seed: options.Seed = None,
) -> Outcome:
    """Quantize a trained network to int8 .tflite and .onnx files, run each, and compare.

    It is calibrated on the training images of --data, and verified on the validation images.

    Example: keras-bottleneck quantize run --rounding adaptive
    """
    from keras_bottleneck import trained_model
    from keras_bottleneck.cli.inputs import source
    from keras_bottleneck.data.for_models import images_for
    from keras_bottleneck.export import export_model
    from keras_bottleneck.quantization import quantize

    given = source(path)
    folder = given.folder(data)
    target = given.exports(out)
    trained = trained_model.opened(given.path)
    split = given.seed(seed)
    photographs = images_for(trained.preprocessing, trained.labels, folder, seed=split)
    names = options.listed(skip) or []
    quantized = quantize(
        trained.model,
        photographs.train,
        calibrator=calibrator,
        rounding=rounding,
        reduce_range=reduce_range,
        skip="unsupported" if names == ["unsupported"] else names,
        keep_accuracy=keep_accuracy,
        images=images,
    )
    report = export_model(
        quantized,
        target,
        options.listed(formats),
        labels=trained.labels,
        preprocessing=trained.preprocessing,
        task=trained.task,
        verify=photographs.validation,
        io_type=io_type,
        allow_float=allow_float,
    )
    calibration = quantized.quantization_report
    content = {"quantization": calibration, "export": report}
    return Outcome([calibration, report], content, ("audit", report.artifacts[0].path))
