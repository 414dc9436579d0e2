"""`demo`: the main job on a small scale: train, export, run, compare."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keras_bottleneck import checks
from keras_bottleneck.cli.outcome import Outcome

if TYPE_CHECKING:
    from keras_bottleneck.export import ExportReport
    from keras_bottleneck.training import Recipe


def run(
    out: Annotated[Path, typer.Option(help="Folder for the files.")] = Path("demo"),
    epochs: Annotated[int, typer.Option(help="Passes over the 1,438 training scans.")] = 8,
) -> Outcome:
    """Train a small ResNet on real scans of digits, export every format, run and compare each.

    Takes about two minutes on two cores.

    Example: keras-bottleneck demo
    """
    from keras_bottleneck.training import Recipe

    recipe = Recipe(epochs=epochs, learning_rate=2e-3)
    report = _trained_and_exported(checks.folder_to_write("out", out), recipe)
    return Outcome(report, report, ("audit", report["tflite"].path))


def _trained_and_exported(directory: Path, recipe: "Recipe") -> "ExportReport":
    import keras

    from keras_bottleneck.data import digits
    from keras_bottleneck.export import FLOAT_FORMATS, export_model, save_model
    from keras_bottleneck.models import ResNet

    keras.utils.set_random_seed(0)
    images = digits(image_size=32, batch_size=recipe.batch_size, augment=("crop",))
    model = ResNet(
        "basic",
        (1, 1, 1),
        filters=(16, 32, 64),
        stem="cifar",
        input_shape=images.preprocessing.input_shape,
        classes=len(images.class_names),
        name="digits",
    )
    recipe.fit(model, images.train, images.validation)
    save_model(model, directory / "digits.keras", images.class_names, images.preprocessing)
    return export_model(
        model,
        directory,
        list(FLOAT_FORMATS),
        labels=images.class_names,
        preprocessing=images.preprocessing,
        verify=images.validation,
        verify_samples=images.validation_size,
    )
