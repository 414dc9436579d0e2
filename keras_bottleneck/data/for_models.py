"""A folder of images as a trained model takes them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_bottleneck import checks
from keras_bottleneck.data.folder import image_folder
from keras_bottleneck.data.images import ImageData
from keras_bottleneck.preprocessing import Preprocessing


@dataclass(frozen=True)
class Folder:
    """A folder of images that is yet to be opened, as `image_folder` would.

    Attributes:
        path: The folder.
        labels: As for `image_folder`, as are `validation` and `task`.
        validation: Another folder, of images for the validation; None for none.
        task: What a table's columns are; None for what they look like.

    Example:
        >>> evaluate("run", Folder(Path("birds"), labels="birds.csv"))  # doctest: +SKIP
    """

    path: Path
    labels: str | os.PathLike[str] | None = None
    validation: str | os.PathLike[str] | None = None
    task: str | None = None


def folder_in(data: Any) -> Folder | None:
    """The folder that `data` is, or whose path it is; None for other data."""
    if isinstance(data, (str, os.PathLike)):
        return Folder(Path(data))
    return data if isinstance(data, Folder) else None


def images_for(
    preprocessing: Preprocessing | None,
    class_names: Sequence[str] | None,
    folder: Folder,
    *,
    seed: int = 0,
    batch_size: int = 32,
) -> ImageData:
    """`image_folder` for a model that says how images become its input.

    Args:
        preprocessing: That of the model.
        class_names: The classes that the folder must have; None for any.
        folder: The folder.
        seed: Of the split.
        batch_size: Images per batch.

    Raises:
        ValueError: If the model has no preprocessing, or the folder has other classes.
    """
    if preprocessing is None:
        accepted = "arrays or a dataset; or a folder if the model says how images become its input"
        raise checks.reject("data", str(folder.path), accepted)
    images = image_folder(
        folder.path,
        batch_size=batch_size,
        seed=seed,
        preprocessing=preprocessing,
        labels=folder.labels,
        validation=folder.validation,
        task=folder.task,
    )
    if class_names is not None and images.class_names != tuple(class_names):
        accepted = f"a folder with the classes of the model, {', '.join(class_names)}"
        raise checks.reject("data", list(images.class_names), accepted)
    return images
