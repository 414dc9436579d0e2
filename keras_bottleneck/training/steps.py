"""What a dataset tells before it is trained on: its length and its first batch."""

from collections.abc import Iterator, Sized
from typing import Any

import keras

from keras_bottleneck import checks
from keras_bottleneck.training.arrays import ArrayBatches

# The cardinality of tf.data that never ends; another negative one stands for an unknown length.
INFINITE = -1


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


def first_batch(name: str, dataset: Any) -> tuple[Any, Any] | None:
    """The images of the first batch, and its labels; None for what can be read only once.

    Args:
        name: The argument that `dataset` was given as, for errors.
        dataset: Batches of (images, labels, ...).

    Raises:
        ValueError: If there is no batch, or no labels are in it.
    """
    if isinstance(dataset, ArrayBatches):
        return dataset[0]
    if isinstance(dataset, Iterator):
        return None
    batch = next(iter(dataset), None)
    if batch is None:
        raise ValueError(f"`{name}` must have at least one batch. Received: an empty dataset")
    if not isinstance(batch, (tuple, list)) or len(batch) < 2:
        raise ValueError(
            f"`{name}` must hold batches (images, labels). Received: a batch without labels, of "
            f"type {type(batch).__name__}"
        )
    return batch[0], batch[1]


def check_validation(dataset: Any) -> None:
    """Refuses data that cannot be read from beginning to end after every epoch.

    Args:
        dataset: What is to be validated with; None for nothing.

    Raises:
        ValueError: If it is a generator or another iterator, or a dataset that never ends.
    """
    endless = is_endless(dataset)
    if endless or isinstance(dataset, Iterator):
        kind = "an endless dataset" if endless else f"a {type(dataset).__name__}"
        raise ValueError(
            "`validation` must be data that can be read from beginning to end after every epoch, "
            f"such as arrays, a PyDataset or a tf.data.Dataset. Received: {kind}"
        )


def is_endless(dataset: Any) -> bool:
    """Whether a tf.data.Dataset or PyDataset says of itself that it never ends."""
    if hasattr(dataset, "cardinality"):
        return int(dataset.cardinality()) == INFINITE
    if not isinstance(dataset, keras.utils.PyDataset):
        return False
    # Keras's own property fails where there is no length.
    says = type(dataset).num_batches is not keras.utils.PyDataset.num_batches
    return says and dataset.num_batches is None


def known_length(dataset: Any) -> int | None:
    """Number of batches, where a dataset tells; None where it is unknown or infinite."""
    if hasattr(dataset, "cardinality"):
        cardinality = int(dataset.cardinality())
        return cardinality if cardinality >= 0 else None
    return len(dataset) if isinstance(dataset, Sized) and not is_endless(dataset) else None
