"""The classic mistakes, found on the first batch: labels, pixel range, softmax with from_logits."""

import inspect
import warnings
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_bottleneck.data.batches import ArrayBatches, as_batches, first_batch
from keras_bottleneck.image_model import model_preprocessing
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.training.objectives import check_labels, told
from keras_bottleneck.training.outputs import last_activation, returns_logits

# By how much of the expected range values may leave it (augmentation), and how little of it a
# batch may fill: less than 0..5 of 0..255.
OVERSHOOT = 0.5
SPREAD = 0.02
# Losses that take the probabilities of a sigmoid, too.
BINARY = (keras.losses.binary_crossentropy, keras.losses.binary_focal_crossentropy)
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
    check_data(model, *as_batches(train, validation, BATCH_SIZE, seed=0), preprocessing)


class Checked(NamedTuple):
    """What `check_data` has learnt.

    Attributes:
        first: The first training batch, for those who look further; None where it was not looked
            at.
        task: One of `TASKS`.
    """

    first: tuple[Any, Any] | None
    task: str


def check_data(
    model: keras.Model,
    train: Any,
    validation: Any,
    preprocessing: Preprocessing | None = None,
    task: str | None = None,
) -> Checked:
    """Refuses labels and images that do not fit the model: see `check_fit`.

    Arrays are checked in full where their labels are concerned, datasets by their first batch; what
    can be read only once is not looked at.

    Args:
        model: A model with one output, (batch, columns).
        train: `ArrayBatches` or another dataset.
        validation: The same; None for none.
        preprocessing: As for `check_fit`.
        task: One of `TASKS`; None for that which the head and the first labels tell.

    Raises:
        ValueError: If labels or images do not fit, or there are none; or as `objectives.told`.
    """
    if preprocessing is None:
        preprocessing = model_preprocessing(model)
    batches = []
    for name, data in (("train", train), ("validation", validation)):
        first = None if data is None else first_batch(name, data)
        batches.append(first)
        if first:
            _check_batch(model, first[0], name)
            labels = data.labels if isinstance(data, ArrayBatches) else first[1]
            task = told(model, labels, task)
            check_labels(model, labels, task, name)
            if preprocessing is not None:
                check_range(first[0], preprocessing, name)
    return Checked(batches[0], told(model, None, task))


def _check_batch(model: keras.Model, images: Any, name: str) -> None:
    """Refuses images that come one by one."""
    wanted, found = model.inputs[0].shape, getattr(images, "shape", None)
    if found is not None and len(found) == len(wanted) - 1:
        raise ValueError(
            f"`{name}` must hold batches of images, {tuple(wanted)}. Received: images of shape "
            f"{tuple(found)}"
        )


def check_range(images: Any, preprocessing: Preprocessing, name: str = "train") -> None:
    """Refuses images that cannot have passed `preprocessing`, judged by their values.

    Warns where that is unlikely, but possible: the range begins below 0, and no value is there, as
    if nothing had been subtracted from the pixels.

    Args:
        images: A batch of model inputs, (batch, height, width, channels).
        preprocessing: What the model expects them to have passed.
        name: The argument that they are part of, for errors.

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
            f"`{name}` must hold images with values from {least:.4g} to {most:.4g}, "
            f"{_recipe_of(preprocessing)}. Received: values from {low:.4g} to {high:.4g}"
        )
    if least < 0 <= low < high:
        like = "pixels divided by 255" if high <= 1 else "pixels that nothing was subtracted from"
        warnings.warn(
            f"`{name}` holds values from {low:.4g} to {high:.4g} in its first batch, which looks "
            f"like {like}; the model expects values from {least:.4g} to {most:.4g}, "
            f"{_recipe_of(preprocessing)}.",
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
    loss = _only_loss(model)
    given = _from_logits(loss)
    if given is None:
        return
    binary = getattr(loss, "fn", loss) in BINARY
    if binary and last_activation(model)[1] is keras.activations.sigmoid:
        logits, ends = False, "a sigmoid"
    else:
        logits = returns_logits(model)
        ends = "a layer without activation" if logits else "a softmax"
    if given != logits:
        raise ValueError(
            f"`from_logits` must be {logits} for model {model.name!r}, which ends in {ends}. "
            f"Received: from_logits={given}"
        )


def _only_loss(model: keras.Model) -> Any:
    """The loss that `model` was compiled with, a function or `Loss`; None for none or several."""
    losses = keras.tree.flatten(getattr(model, "loss", None))
    if len(losses) != 1:
        return None
    return keras.losses.get(losses[0]) if isinstance(losses[0], str) else losses[0]


def _from_logits(loss: Any) -> bool | None:
    """What a loss takes predictions for; None where it does not say."""
    if isinstance(loss, keras.losses.Loss):
        return loss.get_config().get("from_logits")
    parameters = inspect.signature(loss).parameters if callable(loss) else {}
    default = parameters["from_logits"].default if "from_logits" in parameters else None
    return default if isinstance(default, bool) else None
