"""Arrays in memory as batches, in a seeded order, for every Keras backend."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_bottleneck import checks


class ArrayBatches(keras.utils.PyDataset):
    """Batches of (images, labels) from two arrays, in another order in every epoch.

    `model.fit(x, y)` shuffles with the global random state; this class carries its own, so that
    a run can be repeated without touching the rest of the program.

    Args:
        arrays: Images of shape (samples, ...) and labels of shape (samples, ...).
        batch_size: Samples per batch; the last batch may be smaller.
        seed: Of the order; None draws one.

    Raises:
        ValueError: If `arrays` are not two, or of different lengths, or without samples.
    """

    def __init__(self, arrays: Sequence[Any], batch_size: int, seed: int | None) -> None:
        super().__init__()
        shapes = [np.shape(array) for array in arrays]
        if len(shapes) != 2 or not all(shapes) or shapes[0][0] != shapes[1][0] or not shapes[0][0]:
            raise ValueError(
                "`train` and `validation` must be datasets or (images, labels) arrays with as many "
                f"labels as images. Received: arrays of shapes {shapes}"
            )
        self.images, self.labels = (np.asarray(array) for array in arrays)
        self.batch_size = checks.integer("batch_size", batch_size)
        self._rng = np.random.default_rng(seed)
        self._order = self._rng.permutation(len(self.labels))

    def __len__(self) -> int:
        return math.ceil(len(self.labels) / self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        return self.images[chosen], self.labels[chosen]

    def on_epoch_end(self) -> None:
        self._order = self._rng.permutation(len(self.labels))


def as_batches(train: Any, validation: Any, batch_size: int, seed: int | None) -> tuple[Any, Any]:
    """Both, with (images, labels) arrays as `ArrayBatches`; datasets stay as they are.

    Args:
        train: A dataset or arrays.
        validation: The same; None for none.
        batch_size: Of arrays.
        seed: Of the order of arrays; None draws one.

    Raises:
        ValueError: As `ArrayBatches`; or one is no dataset either.
    """
    batches = _batches("train", train, batch_size, seed)
    if validation is None:
        return batches, None
    return batches, _batches("validation", validation, batch_size, seed)


def _batches(name: str, data: Any, batch_size: int, seed: int | None) -> Any:
    if isinstance(data, (tuple, list)):
        return ArrayBatches(data, batch_size, seed)
    if not hasattr(data, "__iter__"):
        raise checks.reject(name, data, "a dataset of batches (images, labels), or such arrays")
    return data
