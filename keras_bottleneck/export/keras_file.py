"""A trained model as a .keras file that knows its labels and its preprocessing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_bottleneck import checks, failures
from keras_bottleneck.export.versions import versions
from keras_bottleneck.files import replacing
from keras_bottleneck.graph.endings import output_name
from keras_bottleneck.graph.rebuild import functional
from keras_bottleneck.image_model import model_preprocessing
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
        preprocessing: How an image becomes the model's input; by default what the model carries.

    Returns:
        The path.

    Raises:
        ValueError: If `path` does not end in .keras or cannot be written (the file that was there
            stays as it was), or labels or preprocessing do not fit.

    Example:
        >>> from keras_bottleneck.models import ResNet18
        >>> save_model(ResNet18(classes=2), "pets.keras", labels=("cat", "dog")).name
        'pets.keras'
    """
    if not isinstance(path, (str, Path)) or Path(path).suffix != ".keras":
        raise checks.reject("path", str(path), "a path that ends in .keras")
    target = Path(path)
    functional(model)
    check_labels(model, labels)
    preprocessing = checked_preprocessing(model, preprocessing)
    described = Metadata(
        name=model.name,
        labels=None if labels is None else tuple(map(str, labels)),
        preprocessing=preprocessing,
        output_name=output_name(model),
        versions=versions("keras"),
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as scratch:
            model.save(scratch)
            metadata.write(scratch, described)
    except OSError as error:
        why = error.strerror or checks.first_line(error)
        raise checks.reject("path", str(path), f"where a file can be written ({why})") from None
    return target


def check_labels(model: keras.Model, labels: Any) -> None:
    """Raise ValueError unless there is one label for each class, in an order."""
    classes = model.outputs[0].shape[-1]
    # One column is the probability or logit of the second of two classes.
    classes = 2 if classes == 1 else classes
    if labels is None:
        return
    if not isinstance(labels, (list, tuple, np.ndarray)) or len(labels) != classes:
        raise checks.reject("labels", labels, f"a sequence of {classes} names, one for each class")


def checked_preprocessing(model: keras.Model, preprocessing: Any) -> Preprocessing | None:
    """`preprocessing`, or what the model carries, if it makes what the model takes.

    Raises:
        ValueError: If it does not.
    """
    if preprocessing is None:
        preprocessing = model_preprocessing(model)
    if preprocessing is None:
        return None
    if not isinstance(preprocessing, Preprocessing):
        raise checks.reject("preprocessing", preprocessing, "a Preprocessing or None")
    taken, prepared = model.inputs[0].shape[1:], preprocessing.input_shape
    fits = len(taken) == 3 and all(a in (None, b) for a, b in zip(taken, prepared, strict=True))
    if not fits:
        fitting = f"one for the model's input shape {tuple(taken)}"
        raise checks.reject("preprocessing", preprocessing, fitting)
    return preprocessing


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
        return keras.models.load_model(path, compile=False), carried
    except Exception as error:  # zip, JSON, HDF5 and Keras raise their own here
        why = failures.reason(error)
        raise checks.reject("path", str(path), f"a whole .keras file ({why})") from None
