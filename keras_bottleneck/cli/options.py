"""Options that several verbs have, and what completes them in the shell."""

from pathlib import Path
from typing import Annotated

import typer

from keras_bottleneck import checks
from keras_bottleneck.cli import sources


def models(incomplete: str) -> list[str]:
    """The names of networks that begin with `incomplete`."""
    from keras_bottleneck.models import NETWORKS

    return [name for name in NETWORKS if name.startswith(incomplete)]


def formats(incomplete: str) -> list[str]:
    """The formats that complete the last of several that are separated by commas."""
    *before, last = incomplete.split(",")
    names = sources.keys("export/formats.py", "FORMATS")
    return [",".join([*before, name]) for name in names if name.startswith(last)]


def targets(incomplete: str) -> list[str]:
    """The devices that begin with `incomplete`."""
    names = sources.keys("analysis/targets.py", "TARGETS")
    return [name for name in names if name.startswith(incomplete)]


Data = Annotated[
    Path | None,
    typer.Option(help="Folder with one sub-folder of images per class.", show_default=False),
]
RunData = Annotated[
    Path | None,
    typer.Option(help="Folder with one sub-folder of images per class; of a run: its own."),
]
Trained = Annotated[
    Path, typer.Argument(help="Folder of a run, or a .keras file.", show_default=False)
]
Artifact = Annotated[
    Path,
    typer.Argument(
        help="Folder of a run, .keras, .tflite or .onnx file, or SavedModel.", show_default=False
    ),
]
Augment = Annotated[str, typer.Option(help="flip, crop, rand_augment, mixup; commas.")]
Seed = Annotated[
    int | None, typer.Option(help="That of the training, for the same split; of a run: its own.")
]
TrainingSeed = Annotated[int, typer.Option(help="Of split, order, augmentation and weights.")]
Resume = Annotated[
    Path | None, typer.Option(help="Folder of a run that was stopped, to go on with.")
]
Epochs = Annotated[int, typer.Option(help="Passes over the training images.")]
BatchSize = Annotated[int, typer.Option(help="Images in a batch.")]
LearningRate = Annotated[float, typer.Option(help="Peak learning rate.")]
Optimizer = Annotated[str, typer.Option(help="adamw, sgd or adam.")]
Momentum = Annotated[float, typer.Option(help="Of sgd.")]
WarmupEpochs = Annotated[float, typer.Option(help="Epochs from zero to that peak.")]
Ema = Annotated[float | None, typer.Option(help="Momentum of averaged weights, as 0.999.")]
WeightDecay = Annotated[float, typer.Option(help="Decoupled weight decay.")]
LabelSmoothing = Annotated[float, typer.Option(help="Share of a label given to all classes.")]
MixedPrecision = Annotated[str | None, typer.Option(help="mixed_bfloat16 or mixed_float16.")]
Monitor = Annotated[str, typer.Option(help="What is best: val_loss or val_accuracy.")]
ImageSize = Annotated[int | None, typer.Option(help="Side in pixels, if the model takes any.")]


def listed(text: str | None) -> list[str] | None:
    """The names in `text`, which commas separate; None where it is not given."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def counts(name: str, text: str) -> list[int]:
    """The numbers in `text`, which commas separate.

    Raises:
        ValueError: If there is anything else in it.
    """
    try:
        return [int(one) for one in text.split(",")]
    except ValueError:
        raise checks.reject(name, text, "whole numbers, separated by commas") from None


def given(ctx: typer.Context) -> set[str]:
    """The options and arguments that stand on the command line."""
    origins = {name: ctx.get_parameter_source(name) for name in ctx.params}
    return {name for name, one in origins.items() if one is not None and one.name == "COMMANDLINE"}
