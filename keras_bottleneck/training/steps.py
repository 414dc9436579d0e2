"""What a dataset tells before it is trained on: its length, and some of its labels."""

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
    length = _known_length(dataset)
    if length is None:
        raise ValueError(
            "`steps_per_epoch` must be given for a dataset of unknown or infinite length, because "
            "the learning rate follows the number of steps. Received: steps_per_epoch=None"
        )
    if length == 0:
        raise ValueError("`train` must have at least one batch. Received: an empty dataset")
    return length


def some_labels(dataset: Any) -> Any:
    """All labels of arrays, the first batch's of datasets; None for what can be read only once.

    Args:
        dataset: Batches of (images, labels, ...).
    """
    if isinstance(dataset, ArrayBatches):
        return dataset.labels
    if isinstance(dataset, keras.utils.PyDataset):
        return dataset[0][1]
    batches = iter(dataset)
    return None if batches is dataset else next(batches)[1]


def _known_length(dataset: Any) -> int | None:
    if hasattr(dataset, "cardinality"):
        cardinality = int(dataset.cardinality())
        return cardinality if cardinality >= 0 else None  # tf.data: -1 infinite, -2 unknown
    return len(dataset) if isinstance(dataset, Sized) else None
