"""`predict`: labels of images."""

from pathlib import Path
from typing import Annotated, cast

import typer

from keras_bottleneck.cli import options
from keras_bottleneck.cli.outcome import Outcome


def run(
    path: options.Artifact,
    images: Annotated[list[Path], typer.Argument(help="Image files.", show_default=False)],
    top: Annotated[int, typer.Option(help="How many classes to show for each image.")] = 5,
    threads: Annotated[
        int | None, typer.Option(help="CPU threads, for .tflite and .onnx files.")
    ] = None,
) -> Outcome:
    """Show the most probable classes of images, or their numbers, with a run or any artifact.

    Example: keras-bottleneck predict run/exported/resnet18_int8.tflite photo.jpg --top 3
    """
    from rich.table import Table

    from keras_bottleneck import runtime
    from keras_bottleneck.runtime.predictor import Named, Prediction
    from keras_bottleneck.tasks import REGRESSION

    predictor = runtime.load(path, threads)
    predictions = cast(list[Prediction], predictor(images, top=top))
    table = Table(title=f"{predictor.path.name}")
    table.add_column("image", overflow="fold")
    content: list[dict[str, object]] = []
    if isinstance(predictions[0], float):
        table.add_column("value", justify="right")
        for image, value in zip(images, predictions, strict=True):
            table.add_row(str(image), f"{value:.6g}")
            content.append({"image": image, "value": value})
        return Outcome(table, {"predictions": content})
    is_regression = predictor.task == REGRESSION
    table.add_column("number" if is_regression else "class", overflow="fold")
    table.add_column("value" if is_regression else "probability", justify="right")
    key = "numbers" if is_regression else "classes"
    value_key = "value" if is_regression else "probability"
    for image, pairs in zip(images, cast(list[Named], predictions), strict=True):
        for index, (label, value) in enumerate(pairs):
            text = f"{value:.6g}" if is_regression else f"{value:.1%}"
            table.add_row("" if index else str(image), label, text)
        table.add_section()
        content.append(
            {"image": image, key: [{"label": label, value_key: value} for label, value in pairs]}
        )
    return Outcome(table, {"predictions": content}, ("evaluate", path, "--data", "FOLDER"))
