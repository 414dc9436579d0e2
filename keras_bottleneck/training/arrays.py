"""Arrays in memory as batches, in a seeded order, for every Keras backend."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_bottleneck import checks


class ArrayBatches(keras.utils.PyDataset):
    """Batches of (images, labels) from two arrays, in a seeded order.

    `model.fit(x, y)` shuffles with the global random state, and knows no way back to its order.
    Here, that of each pass over the arrays is a function of the seed and the number of the pass;
    the batches of this dataset are those of pass 0.

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
        self.seed = drawn_seed() if seed is None else seed
        # One attribute, because threads of several readers come here.
        self._last: tuple[int, np.ndarray] = (-1, np.array([], int))

    def __len__(self) -> int:
        return math.ceil(len(self.labels) / self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """The batch `index`; those from `len(self)` on are of later passes."""
        number, index = divmod(index, len(self))
        known, order = self._last
        if number != known:
            order = np.random.default_rng([self.seed, number]).permutation(len(self.labels))
            self._last = number, order
        chosen = order[index * self.batch_size : (index + 1) * self.batch_size]
        return self.images[chosen], self.labels[chosen]

    def from_batch(self, first: int) -> keras.utils.PyDataset:
        """All passes, one after the other and without end, from the batch `first` on."""
        return _Onwards(self, first)


class _Onwards(keras.utils.PyDataset):
    """The batches of another dataset from one on."""

    num_batches = None

    def __init__(self, batches: ArrayBatches, first: int) -> None:
        super().__init__()
        self.batches, self.first = batches, first

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.batches[self.first + index]


def drawn_seed() -> int:
    """A seed that nobody has asked for."""
    return int(np.random.SeedSequence().generate_state(1)[0])


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
