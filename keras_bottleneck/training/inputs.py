"""The classic mistakes, found on the first batch: labels, pixel range, softmax with from_logits."""

import warnings
from typing import Any

import keras
import numpy as np

from keras_bottleneck.image_model import model_preprocessing
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.training.arrays import as_batches
from keras_bottleneck.training.outputs import check_labels, returns_logits
from keras_bottleneck.training.steps import first_batch

# By how much of the expected range values may leave it (augmentation), and how little of it a
# batch may fill: less than 0..5 of 0..255.
OVERSHOOT = 0.5
SPREAD = 0.02
# What one batch of `check_fit` holds, where it gets arrays.
BATCH_SIZE = 32


def check_fit(
    model: keras.Model,
    train: Any,
    validation: Any = None,
    preprocessing: Preprocessing | None = None,
) -> None:
    """Refuses what `model.fit` would accept and train a wrong model with.

    For a model that was compiled by hand. `Recipe.fit` and `finetune` choose the loss and look at
    the first batch themselves.

    Args:
        model: A compiled functional or Sequential classifier.
        train: (images, labels) arrays, or batches of both.
        validation: The same; None for none.
        preprocessing: What the model expects its images to have passed; None for
            that which the model carries, and for no look at the pixels where it carries none.

    Raises:
        ValueError: If a cross-entropy takes logits and the model ends in a softmax, or the other
            way round; labels do not fit the classes of the model; or images have another range
            than `preprocessing` makes.

    Example:
        >>> from keras_bottleneck.models import ResNet18
        >>> model = ResNet18(input_shape=(32, 32, 3), classes=10)
        >>> model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        >>> check_fit(model, (np.ones((2, 32, 32, 3)), np.array([0, 9])))
        Traceback (most recent call last):
        ...
        ValueError: `from_logits` must be False for model 'resnet18', which ends in a softmax.
        Received: from_logits=True
    """
    _check_loss(model)
    train = as_batches(train, BATCH_SIZE, seed=0)
    check_data(model, train, as_batches(validation, BATCH_SIZE, seed=0), preprocessing)


def check_data(
    model: keras.Model, train: Any, validation: Any, preprocessing: Preprocessing | None = None
) -> None:
    """Refuses labels and images that do not fit the model: see `check_fit`.

    Arrays are checked in full where their labels are concerned, training datasets by their first
    batch; what can be read only once is not looked at.

    Args:
        model: A classifier.
        train: `ArrayBatches` or another dataset.
        validation: The same; None for none.
        preprocessing: As for `check_fit`.

    Raises:
        ValueError: If labels or images do not fit.
    """
    first = first_batch(train)
    for labels in (first and first[1], getattr(validation, "labels", None)):
        if labels is not None:
            check_labels(model, labels)
    if preprocessing is None:
        preprocessing = model_preprocessing(model)
    if first and preprocessing is not None:
        check_range(first[0], preprocessing)


def check_range(images: Any, preprocessing: Preprocessing) -> None:
    """Refuses images that cannot have passed `preprocessing`, judged by their values.

    Warns where that is unlikely, but possible: no value below the middle of the range.

    Args:
        images: A batch of model inputs, (batch, height, width, channels).
        preprocessing: What the model expects them to have passed.

    Raises:
        ValueError: If values are not finite, are far outside the range that pixels of 0..255 are
            brought to, or fill next to nothing of it.

    Example:
        >>> check_range(np.full((1, 2, 2, 3), 200.0), Preprocessing(2))
        Traceback (most recent call last):
        ...
        ValueError: `train` must hold images with values from 0 to 1, pixels times 0.003922.
        Received: values from 200 to 200
    """
    values = np.asarray(images).astype("float32")
    low, high = float(values.min()), float(values.max())
    ends = preprocessing.normalize(np.array([[0.0], [255.0]]).repeat(preprocessing.channels, 1))
    least, most = float(ends.min()), float(ends.max())
    width = most - least
    outside = low < least - OVERSHOOT * width or high > most + OVERSHOOT * width
    if not np.isfinite([low, high]).all() or outside or 0 < high - low < SPREAD * width:
        raise ValueError(
            f"`train` must hold images with values from {least:.4g} to {most:.4g}, "
            f"{_recipe_of(preprocessing)}. Received: values from {low:.4g} to {high:.4g}"
        )
    if least < 0 <= low and high <= 1 and low < high:
        warnings.warn(
            f"`train` holds values from {low:.4g} to {high:.4g} in its first batch, which looks "
            f"like pixels divided by 255; the model expects values from {least:.4g} to "
            f"{most:.4g}, {_recipe_of(preprocessing)}.",
            stacklevel=2,
        )


def _recipe_of(preprocessing: Preprocessing) -> str:
    """What happens to pixels, in words."""
    words = "pixels as they are"
    if preprocessing.scale != 1:
        words = f"pixels times {preprocessing.scale:.4g}"
    if any(preprocessing.mean):
        words += f", minus {_shown(preprocessing.mean)}"
    if any(std != 1 for std in preprocessing.std):
        words += f", divided by {_shown(preprocessing.std)}"
    return words


def _shown(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def _check_loss(model: keras.Model) -> None:
    """Refuses a cross-entropy that takes for logits what are probabilities, or the reverse."""
    loss = getattr(model, "loss", None)
    given = loss.get_config().get("from_logits") if isinstance(loss, keras.losses.Loss) else None
    if loss in ("categorical_crossentropy", "sparse_categorical_crossentropy"):
        given = False
    if given is None:
        return
    logits = returns_logits(model)
    if given != logits:
        ends = "a layer without activation" if logits else "a softmax"
        raise ValueError(
            f"`from_logits` must be {logits} for model {model.name!r}, which ends in {ends}. "
            f"Received: from_logits={given}"
        )
