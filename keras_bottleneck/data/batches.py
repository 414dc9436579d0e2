"""What users pass as data, read as batches: arrays, tf.data, PyDatasets, loaders, generators."""

import itertools
import math
from collections.abc import Iterator, Sequence, Sized
from typing import Any, Protocol, runtime_checkable

import keras
import numpy as np

from keras_bottleneck import checks

# The cardinality of a tf.data.Dataset that never ends; other negative ones mean an unknown length.
INFINITE = -1


@runtime_checkable
class Resumable(Protocol):
    """Data that can be read from any batch on.

    The order of each pass over such data is a function of a seed and the number of the pass: a
    training that was stopped goes on at the very batch, without reading those before it.
    """

    def from_batch(self, first: int) -> Any:
        """All passes, one after the other and without end, from the batch `first` on."""


class ArrayBatches(keras.utils.PyDataset):
    """Batches of (images, labels) from two arrays, in a seeded order; they are `Resumable`.

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
        # A single attribute, because threads of several readers come here.
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
    """The batches of `ArrayBatches` from a given one on."""

    num_batches = None

    def __init__(self, batches: ArrayBatches, first: int) -> None:
        super().__init__()
        self.batches, self.first = batches, first

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.batches[self.first + index]


def drawn_seed() -> int:
    """A seed for a training whose recipe has none."""
    return int(np.random.SeedSequence().generate_state(1)[0])


def as_batches(train: Any, validation: Any, batch_size: int, seed: int | None) -> tuple[Any, Any]:
    """Both, with (images, labels) arrays as `ArrayBatches`; datasets stay as they are.

    Args:
        train: A dataset or arrays.
        validation: The same; None for none.
        batch_size: Of arrays.
        seed: Of the order of arrays; None draws one.

    Raises:
        ValueError: As `ArrayBatches`; or `train` or `validation` is no dataset either.
    """
    batches = _as_batches("train", train, batch_size, seed)
    if validation is None:
        return batches, None
    return batches, _as_batches("validation", validation, batch_size, seed)


def _as_batches(name: str, data: Any, batch_size: int, seed: int | None) -> Any:
    if isinstance(data, (tuple, list)):
        return ArrayBatches(data, batch_size, seed)
    if not hasattr(data, "__iter__"):
        raise checks.reject(name, data, "a dataset of batches (images, labels), or such arrays")
    return data


def batches_of(name: str, data: Any, batch_size: int) -> Iterator[Any]:
    """One pass over `data`, batch after batch.

    Args:
        name: The argument that `data` was given as, for errors.
        data: Images, a tuple (images, labels, weights) of arrays of which the last may be left out,
            or a dataset or list of batches of either. A list is one of batches, unless it holds
            arrays whose numbers of axes differ: images and labels.
        batch_size: Samples per batch of arrays; datasets come batched.

    Raises:
        ValueError: If `data` is nothing of this kind, or arrays have other lengths than the images.
    """
    if isinstance(data, (str, bytes, dict)) or not hasattr(data, "__iter__"):
        accepted = "a dataset of batches (images, labels) or images, or such arrays"
        raise checks.reject(name, data, accepted)
    images = images_of(data)
    if images is data:
        yield from (data[at : at + batch_size] for at in range(0, len(data), batch_size))
    elif images is not None:
        yield from _joint_batches(name, data, batch_size)
    elif isinstance(data, keras.utils.PyDataset):
        # Iterating over a PyDataset is left to its author, and may never end.
        indices = itertools.count() if is_endless(data) else range(len(data))
        yield from (data[index] for index in indices)
    elif hasattr(data, "as_numpy_iterator"):
        yield from data.as_numpy_iterator()
    else:
        yield from data


def _joint_batches(name: str, arrays: Sequence[Any], batch_size: int) -> Iterator[tuple]:
    """The batches of (images, labels, weights); what is None stays None."""
    images = arrays[0]
    for others in arrays[1:]:
        length = np.shape(others)[:1]
        if others is not None and length != (len(images),):
            raise ValueError(
                f"`{name}` must hold one label for each image. Received: "
                f"{length[0] if length else 'no'} labels for {len(images)} images"
            )
    for at in range(0, len(images), batch_size):
        yield tuple(None if array is None else array[at : at + batch_size] for array in arrays)


def images_of(data: Any) -> Any:
    """The array of images that `data` is, or begins with; None where `data` are batches."""
    if isinstance(data, tuple):
        return data[0] if 1 <= len(data) <= 3 and not isinstance(data[0], tuple) else None
    if isinstance(data, list):
        axes = {len(one.shape) if hasattr(one, "__array__") else None for one in data}
        return data[0] if len(axes) > 1 and hasattr(data[0], "__array__") else None
    return data if hasattr(data, "__array__") else None


def labels_in(data: Any, read: bool) -> np.ndarray | None:
    """The labels of all samples of batches (images, labels).

    Args:
        data: A dataset as `as_batches` gives it.
        read: Whether to read all batches where `data` does not know its labels.

    Returns:
        (samples, ...); None where they are not known, and are not to be read, or `data` can be read
        only once or has no end.
    """
    if isinstance(data, Resumable) and hasattr(data, "labels"):
        return np.asarray(data.labels)
    if not read or isinstance(data, Iterator) or known_length(data) is None:
        return None
    return np.concatenate([np.asarray(batch[1]) for batch in batches_of("train", data, 1)])


def batches_in(data: Any, batch_size: int) -> int | None:
    """How many batches `batches_of` gives; None where nobody knows."""
    images = images_of(data)
    return known_length(data) if images is None else math.ceil(len(images) / batch_size)


def steps_in(dataset: Any, steps_per_epoch: int | None = None) -> int:
    """The steps of an epoch: `steps_per_epoch` where given, else the length of `dataset`.

    Args:
        dataset: A tf.data.Dataset, or anything with a length, such as a PyDataset or DataLoader.
        steps_per_epoch: Goes before the length of the dataset.

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
    """Whether a tf.data.Dataset or PyDataset declares that it never ends."""
    if hasattr(dataset, "cardinality"):
        return int(dataset.cardinality()) == INFINITE
    if not isinstance(dataset, keras.utils.PyDataset):
        return False
    # Keras's own property fails where there is no length.
    has_its_own = type(dataset).num_batches is not keras.utils.PyDataset.num_batches
    return has_its_own and dataset.num_batches is None


def known_length(dataset: Any) -> int | None:
    """Number of batches, where a dataset tells; None where it is unknown or infinite."""
    if hasattr(dataset, "cardinality"):
        cardinality = int(dataset.cardinality())
        return cardinality if cardinality >= 0 else None
    return len(dataset) if isinstance(dataset, Sized) and not is_endless(dataset) else None


def is_tf_data(data: Any) -> bool:
    """Whether `data` is a tf.data.Dataset, which knows how to repeat and skip."""
    return hasattr(data, "repeat") and hasattr(data, "skip")


def lost_its_place(data: Any) -> bool:
    """Whether `data` was made of a `Resumable` dataset of this package, and no longer is one.

    `map`, `batch`, `take` and the other methods of tf.data give a new dataset, which can be read
    from its beginning only, in another order each time.
    """
    if not is_tf_data(data) or isinstance(data, Resumable):
        return False
    # TensorFlow has no public name for what a dataset was made of; without it, none is known.
    made_of = list(getattr(data, "_inputs", tuple)())
    return any(isinstance(one, Resumable) or lost_its_place(one) for one in made_of)
