"""Weights of the classes where some have many more images than others."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_bottleneck.checks import number, reject
from keras_bottleneck.data.batches import labels_in

BALANCED = "balanced"
ACCEPTED = f"{BALANCED!r}, a mapping from class to a number from 0 on, or None"
# A largest class of so many times the images of the smallest is worth a warning.
UNEQUAL = 10


def checked_weights(weights: Any) -> str | dict[str, float] | None:
    """What `Recipe.class_weights` takes; of a mapping, with the classes as text.

    Raises:
        ValueError: If it is nothing of the kind.
    """
    if weights is None or (isinstance(weights, str) and weights == BALANCED):
        return weights
    if not isinstance(weights, Mapping):
        raise reject("class_weights", weights, ACCEPTED)
    return {str(key): number("class_weights", weight) for key, weight in weights.items()}


def named(weights: Any, names: Sequence[str]) -> Any:
    """`weights` with the indices of the classes in place of their names.

    Raises:
        ValueError: If there is no class of a name.

    Example:
        >>> named({"cat": 2.0}, ("ant", "cat"))
        {1: 2.0}
    """
    if not isinstance(weights, Mapping):
        return weights
    if foreign := [name for name in weights if name not in names]:
        raise reject("class_weights", foreign[0], f"a mapping from the classes {', '.join(names)}")
    return {names.index(name): weight for name, weight in weights.items()}


def weights_of(weights: Any, classes: int) -> list[float] | None:
    """The factor of each class, by a mapping from indices.

    Raises:
        ValueError: If an index is none of a class, or `weights` is "balanced", for which labels
            are counted.

    Example:
        >>> weights_of({1: 2.0}, classes=3)
        [1.0, 2.0, 1.0]
    """
    if weights is None:
        return None
    if not isinstance(weights, Mapping):
        raise reject("class_weights", weights, "a mapping, or None, where no labels are at hand")
    indices = {str(index): index for index in range(classes)}
    if foreign := [index for index in weights if str(index) not in indices]:
        raise reject("class_weights", foreign[0], f"a mapping from classes 0 to {classes - 1}")
    given = {indices[str(index)]: float(weight) for index, weight in weights.items()}
    return [given.get(index, 1.0) for index in range(classes)]


def weights_for(weights: Any, train: Any, classes: int) -> list[float] | None:
    """The factor of each class in a training; see `Recipe.class_weights`.

    Warns where no weights are given, and the classes differ in size by `UNEQUAL` times or more.

    Args:
        weights: "balanced", a mapping from indices, or None.
        train: The training data, as batches.
        classes: How many classes there are.

    Raises:
        ValueError: As `weights_of`; or the labels are to be counted, of data that can be read only
            once, or a class has none.
    """
    balanced = weights == BALANCED
    labels = labels_in(train, read=balanced)
    if labels is None:
        if balanced:
            raise reject("class_weights", weights, "a mapping where `train` can be read only once")
        return weights_of(weights, classes)
    counts = counted(labels, classes)
    if balanced:
        if not counts.all():
            missing = int(np.flatnonzero(counts == 0)[0])
            raise reject("class_weights", weights, f"a mapping: class {missing} has no images")
        return [float(weight) for weight in counts.sum() / (classes * counts)]
    if weights is None and len(counts) and counts.max() >= UNEQUAL * max(counts.min(), 1):
        largest, smallest = int(counts.argmax()), int(counts.argmin())
        warnings.warn(
            f"class {largest} has {counts[largest]:,.0f} images, and class {smallest} "
            f'{counts[smallest]:,.0f}: `class_weights="balanced"` gives rare classes more weight.',
            stacklevel=4,  # the caller of `Recipe.fit`
        )
    return weights_of(weights, classes)


def counted(labels: np.ndarray, classes: int) -> np.ndarray:
    """How many images each class has, (classes,); mixed labels count by their shares.

    Example:
        >>> counted(np.array([0, 1, 1]), classes=3).tolist()
        [1.0, 2.0, 0.0]
    """
    if labels.ndim == 2 and labels.shape[1] > 1:
        return np.asarray(labels.sum(0), np.float64)
    indices = labels.reshape(-1).astype(np.int64)
    return np.bincount(indices, minlength=classes).astype(np.float64)
