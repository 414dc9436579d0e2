"""Training data from any batch on: where a training that was stopped goes on reading."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np


def from_batch(data: Any, first: int) -> Any:
    """The batches of `data`, pass after pass without end, but for the `first` ones.

    Arrays and the datasets of `keras_bottleneck.data` go there at once, because the order of each
    of their passes is a function of the seed and the number of the pass. Of everything else, the
    batches before are read and left out.

    Args:
        data: `ArrayBatches` or another dataset of batches.
        first: How many batches have been read, all passes counted.
    """
    if hasattr(data, "from_batch"):
        return data.from_batch(first)
    if is_tf_data(data):
        return data.repeat().skip(first)
    return _from_batch(data, first)


def beginning(data: Any) -> Any:
    """`data` in the same order whenever it is read, where it has such an order."""
    return data.from_batch(0) if is_tf_data(data) and hasattr(data, "from_batch") else data


def is_tf_data(data: Any) -> bool:
    """Whether `data` is a tf.data.Dataset, which knows how to repeat and skip."""
    return hasattr(data, "repeat") and hasattr(data, "skip")


def _from_batch(data: Any, first: int) -> Iterator[tuple]:
    yield from islice(_passes(data), first, None)


def _passes(data: Any) -> Iterator[tuple]:
    """The batches as arrays, pass after pass; of what can be read only once, those of one."""
    while True:
        for batch in data:
            yield tuple(np.asarray(one) for one in batch)
        if isinstance(data, Iterator):
            return
        if hasattr(data, "on_epoch_end"):  # a PyDataset, which may take another order
            data.on_epoch_end()
