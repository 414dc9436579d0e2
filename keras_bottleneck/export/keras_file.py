"""A trained model as a .keras file that knows its labels and its preprocessing."""

import os
from collections.abc import Sequence
from pathlib import Path

import keras

from keras_bottleneck import checks
from keras_bottleneck.export.inference import output_name
from keras_bottleneck.export.versions import versions
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.runtime import Metadata, metadata


def save_model(
    model: keras.Model,
    path: str | Path,
    labels: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
) -> Path:
    """Save `model` as a .keras file that `runtime.load` can run on images.

    The file is Keras's own format; labels and preprocessing travel as one more member, which
    `keras.models.load_model` passes over.

    Args:
        model: A Keras model.
        path: Ends in .keras; an existing file is replaced in one step.
        labels: Names of the classes, in the order of the outputs.
        preprocessing: How an image becomes the model's input.

    Returns:
        The path.

    Raises:
        ValueError: If `path` does not end in .keras, or labels or preprocessing do not fit.

    Example:
        >>> from keras_bottleneck.models import ResNet18
        >>> save_model(ResNet18(classes=2), "pets.keras", labels=("cat", "dog")).name
        'pets.keras'
    """
    target = Path(path)
    if target.suffix != ".keras":
        raise checks.reject("path", str(path), "a path that ends in .keras")
    checked_labels(model, labels)
    described = Metadata(
        name=model.name,
        labels=None if labels is None else tuple(labels),
        preprocessing=preprocessing,
        output_name=output_name(model),
        versions=versions("keras"),
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.stem}.part.keras")
    try:
        model.save(scratch)
        metadata.write(scratch, described)
        os.replace(scratch, target)
    finally:
        scratch.unlink(missing_ok=True)
    return target


def checked_labels(model: keras.Model, labels: Sequence[str] | None) -> None:
    """Raise ValueError unless there is one label for each output."""
    classes = model.outputs[0].shape[-1]
    if labels is not None and (isinstance(labels, str) or len(labels) != classes):
        raise checks.reject("labels", labels, f"{classes} names, one for each output")


def load_model(path: str | Path) -> tuple[keras.Model, Metadata | None]:
    """The model in a .keras file and what `save_model` stored beside it.

    Raises:
        ValueError: If there is no such file, or it is damaged.

    Example:
        >>> model, carried = load_model("pets.keras")  # doctest: +SKIP
        >>> carried.labels  # doctest: +SKIP
        ('cat', 'dog')
    """
    if not isinstance(path, (str, Path)) or Path(path).suffix != ".keras":
        raise checks.reject("path", path, "the path of a .keras file")
    carried = metadata.read(path)
    try:
        return keras.models.load_model(path), carried
    except Exception as error:  # zip, JSON, HDF5 and Keras raise their own here
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise checks.reject("path", str(path), f"a whole .keras file ({reason})") from None
