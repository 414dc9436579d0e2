"""Training data from any batch on: where a training that was stopped goes on reading."""

import itertools
from collections import deque
from collections.abc import Iterator
from threading import Lock
from typing import Any

import numpy as np

from keras_bottleneck.data.batches import Resumable, is_tf_data


class Stream:
    """The batches of data that cannot go to any batch at once, pass after pass, each read once.

    Keras reads ahead, and loses what it has read when a call of `fit` ends, of which a training
    may take several; a second reading of the same data may have another order. So what has been
    read stays here until it has been trained on.

    Args:
        data: A dataset of batches, or what can be read only once, which has one pass.
    """

    def __init__(self, data: Any) -> None:
        self._batches = _passes(data)
        self._kept: deque[tuple] = deque()
        self._read = 0
        self._needed = 0
        # Keras reads in another thread, which may outlive its `fit`.
        self._lock = Lock()

    def from_batch(self, first: int) -> Iterator[tuple]:
        """The batches from the one of number `first` on; those before are done with."""
        self.forget(first)
        for number in itertools.count(first):
            batch = self._at(number)
            if batch is None:
                return
            yield batch

    def forget(self, first: int) -> None:
        """Keep the batches before `first` no longer than until the next one is read."""
        self._needed = first  # without the lock, which is held as long as a batch is being read

    def _at(self, number: int) -> tuple | None:
        with self._lock:
            while self._read <= number:
                batch = next(self._batches, None)
                if batch is None:
                    return None
                self._kept.append(batch)
                self._read += 1
                while self._kept and self._read - len(self._kept) < self._needed:
                    self._kept.popleft()
            return self._kept[number - self._read]


def beginning(data: Any) -> Any:
    """`data` in the same order whenever it is read, where it has such an order."""
    return data.from_batch(0) if is_tf_data(data) and isinstance(data, Resumable) else data


def _passes(data: Any) -> Iterator[tuple]:
    """The batches as arrays, pass after pass; of what can be read only once, those of one."""
    while True:
        for batch in data:
            yield tuple(np.asarray(one) for one in batch)
        if isinstance(data, Iterator):
            return
        if hasattr(data, "on_epoch_end"):  # a PyDataset, which may take another order
            data.on_epoch_end()
