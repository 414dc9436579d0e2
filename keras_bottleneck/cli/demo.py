"""The main job on a small scale: train, export, run, compare."""

from pathlib import Path

import keras

from keras_bottleneck.data import digits
from keras_bottleneck.export import FLOAT_FORMATS, ExportReport, export_model, save_model
from keras_bottleneck.models import ResNet
from keras_bottleneck.training import Recipe


def run_demo(directory: Path, epochs: int) -> ExportReport:
    """Train a small ResNet on the digits, save it, and export it to every format.

    Args:
        directory: Where the .keras file and the artifacts go.
        epochs: Passes over the training scans.
    """
    recipe = Recipe(epochs=epochs, learning_rate=2e-3)
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
