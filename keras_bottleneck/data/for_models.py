"""A folder of images as a trained model takes them."""

from collections.abc import Sequence
from pathlib import Path

from keras_bottleneck import checks
from keras_bottleneck.data.folder import image_folder
from keras_bottleneck.data.images import ImageData
from keras_bottleneck.preprocessing import Preprocessing


def images_for(
    preprocessing: Preprocessing | None,
    labels: Sequence[str] | None,
    data: str | Path,
    *,
    subset: str = "both",
    seed: int = 0,
    batch_size: int = 32,
) -> ImageData:
    """`image_folder` for a model that says how images become its input.

    Args:
        preprocessing: That of the model.
        labels: The classes that the folder must have; None for any.
        data: The folder.
        subset: As for `image_folder`, as are `seed` and `batch_size`.
        seed: Of the split.
        batch_size: Images per batch.

    Raises:
        ValueError: If the model has no preprocessing, or the folder has other classes.
    """
    if preprocessing is None:
        accepted = "arrays or a dataset; or a folder if the model says how images become its input"
        raise checks.reject("data", str(data), accepted)
    images = image_folder(
        data, batch_size=batch_size, subset=subset, seed=seed, preprocessing=preprocessing
    )
    if labels is not None and images.class_names != tuple(labels):
        accepted = f"a folder with the classes of the model, {', '.join(labels)}"
        raise checks.reject("data", list(images.class_names), accepted)
    return images
