"""What a dataset tells before it is trained on: its length and its first batch."""

from collections.abc import Sized
from typing import Any

import keras

from keras_bottleneck import checks
from keras_bottleneck.training.arrays import ArrayBatches


def steps_in(dataset: Any, steps_per_epoch: int | None = None) -> int:
    """The steps of an epoch: `steps_per_epoch` where given, else what `dataset` says of itself.

    Args:
        dataset: A tf.data.Dataset, or anything with a length, such as a PyDataset or DataLoader.
        steps_per_epoch: Wins over the dataset.

    Raises:
        ValueError: If the dataset has no known length and `steps_per_epoch` is not given.
    """
    if steps_per_epoch is not None:
        return checks.integer("steps_per_epoch", steps_per_epoch)
    length = known_length(dataset)
    if length is None:
        raise ValueError(
            "`steps_per_epoch` must be given for a dataset of unknown or infinite length, because "
            "the learning rate follows the number of steps. Received: steps_per_epoch=None"
        )
    if length == 0:
        raise ValueError("`train` must have at least one batch. Received: an empty dataset")
    return length


def first_batch(dataset: Any) -> tuple[Any, Any] | None:
    """The images of the first batch, and its labels; None for what can be read only once.

    Of arrays in memory, all labels.

    Args:
        dataset: Batches of (images, labels, ...).
    """
    if isinstance(dataset, ArrayBatches):
        return dataset[0][0], dataset.labels
    if isinstance(dataset, keras.utils.PyDataset):
        images, labels, *_ = dataset[0]
        return images, labels
    batches = iter(dataset)
    if batches is dataset:
        return None
    images, labels, *_ = next(batches)
    return images, labels


def endless(dataset: Any, steps_per_epoch: int | None) -> Any:
    """`dataset` for a `fit` with that number of steps: tf.data repeats, anything else stays."""
    if steps_per_epoch is not None and hasattr(dataset, "repeat"):
        return dataset.repeat()  # else Keras stops for good where tf.data's iterator ends
    return dataset


def known_length(dataset: Any) -> int | None:
    """Number of batches, where a dataset tells; None where it is unknown or infinite."""
    if hasattr(dataset, "cardinality"):
        cardinality = int(dataset.cardinality())
        return cardinality if cardinality >= 0 else None  # tf.data: -1 infinite, -2 unknown
    return len(dataset) if isinstance(dataset, Sized) else None
