"""From an image folder to a .keras file."""

from pathlib import Path

import keras

from keras_bottleneck import models
from keras_bottleneck.data import image_folder
from keras_bottleneck.export import save_model
from keras_bottleneck.training import Recipe

BUILDERS = {
    name: getattr(models, name)
    for name in ("ResNet18", "ResNet34", "ResNet50", "ResNet101", "ResNet152", "MobileNetV2")
}


def train_folder(
    data: Path,
    directory: Path,
    builder: str,
    image_size: int,
    augment: tuple[str, ...],
    recipe: Recipe,
) -> Path:
    """Train on the images in `data`; returns the path of the saved model.

    Args:
        data: Folder with one sub-folder of images for each class.
        directory: Where the .keras file goes.
        builder: A name out of `BUILDERS`.
        image_size: Side of the model's input in pixels.
        augment: Names of augmentations, as in `data.image_folder`.
        recipe: How to train.
    """
    seed = recipe.seed or 0
    keras.utils.set_random_seed(seed)
    images = image_folder(data, image_size, recipe.batch_size, seed=seed, augment=augment)
    shape = images.preprocessing.input_shape
    model = BUILDERS[builder](input_shape=shape, classes=len(images.class_names))
    recipe.fit(model, images.train, images.validation)
    path = directory / f"{model.name}.keras"
    return save_model(model, path, images.class_names, images.preprocessing)
