"""`summary`: what a network costs, and where it will run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keras_bottleneck import checks
from keras_bottleneck.cli import options
from keras_bottleneck.cli.exit_codes import DONE, FAILED
from keras_bottleneck.cli.outcome import Outcome

if TYPE_CHECKING:
    import keras


def run(
    model: Annotated[
        str,
        typer.Argument(
            autocompletion=options.models,
            help="Name of a network, folder of a run, or .keras file.",
            show_default=False,
        ),
    ],
    image_size: Annotated[
        int | None,
        typer.Option(help="Side of the images in pixels, where the model does not fix it."),
    ] = None,
    classes: Annotated[
        int | None, typer.Option(help="Number of classes, for a network given by name.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(autocompletion=options.targets, help="Device to check for, such as ethos-u."),
    ] = None,
    memory: Annotated[
        int | None, typer.Option(help="Bytes that the device has for activations.")
    ] = None,
) -> Outcome:
    """Show parameters, multiply-accumulates and memory of each layer, before or after training.

    With --target, also show what will not run on that device, with exit code 1 if there is any.

    Example: keras-bottleneck summary MobileNetV2 --image-size 96 --target ethos-u
    """
    from keras_bottleneck import analysis
    from keras_bottleneck.runs import is_run

    if memory is not None and target is None:
        raise checks.reject("memory", memory, "left out without `target`")
    if target is not None:
        checks.one_of("target", target, analysis.TARGETS)
    network = _network(model, image_size, classes)
    channels = network.input_shape[-1]
    shape = None if image_size is None else (image_size, image_size, channels)
    report = analysis.cost(network, shape)
    after = ("quantize", model) if Path(model).exists() else ("train", "--model", model)
    if not is_run(model):
        after = (*after, "--data", "FOLDER")
    if target is None:
        return Outcome(report, report.to_dict(), after)
    checked = analysis.check(network, target, input_shape=shape, memory=memory)
    content = {**report.to_dict(), "check": checked}
    return Outcome([report, checked], content, after, FAILED if checked.problems else DONE)


def _network(model: str, image_size: int | None, classes: int | None) -> "keras.Model":
    from keras_bottleneck import trained_model
    from keras_bottleneck.models import NETWORKS

    if model in NETWORKS:
        row = NETWORKS[model]
        side = row.image_size if image_size is None else checks.integer("image_size", image_size)
        given = {} if classes is None else {"classes": classes}
        return row.build(input_shape=(side, side, 3), **given)
    if classes is not None:
        raise checks.reject("classes", classes, "left out for a model that has its own")
    if not Path(model).exists():
        checks.one_of("model", model, NETWORKS)
    return trained_model.opened(Path(model)).model
