"""`audit`: what is inside a file."""

from pathlib import Path
from typing import Annotated

import typer

from keras_bottleneck.cli.exit_codes import DONE, FAILED
from keras_bottleneck.cli.outcome import Outcome, jsonable


def run(
    path: Annotated[Path, typer.Argument(help="A .tflite or .onnx file.", show_default=False)],
) -> Outcome:
    """List a file's operators and types.

    The exit code is 1 if the file will not run on every device.

    Example: keras-bottleneck audit run/exported/resnet18_int8.tflite
    """
    from keras_bottleneck.export import audit

    report = audit(path)
    content = {**jsonable(report), "problems": report.problems}
    after = () if report.problems else ("predict", path, "IMAGE")
    return Outcome(report, content, after, FAILED if report.problems else DONE)
