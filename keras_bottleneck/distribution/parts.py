"""The part of the data that one process trains on."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_bottleneck import checks
from keras_bottleneck.data.batches import ArrayBatches


class Part(NamedTuple):
    """One process of several.

    Attributes:
        process: Its number, from 0.
        processes: How many there are.
        devices: Those of all processes together.
    """

    process: int
    processes: int
    devices: int

    def of(self, rows: int) -> slice:
        """The rows of this process among `rows`, which the processes can divide."""
        share = rows // self.processes
        return slice(self.process * share, (self.process + 1) * share)


class ArrayPart(ArrayBatches):
    """This process's rows of every batch of arrays that are the same on all processes.

    The batches are those of one process alone: each process takes the next part of every one. All
    batches of a training are whole, because every one of them is a step of all devices; in
    validation, the last one gives as many rows as can be divided.

    Args:
        arrays: Images and labels, see `ArrayBatches`.
        batch_size: Samples per batch of the whole job.
        seed: Of the order.
        part: Which process this is.
        whole: Whether a last batch that is smaller is left out.

    Raises:
        ValueError: As `ArrayBatches`; or the devices do not divide a batch, or none is left.
    """

    def __init__(
        self,
        arrays: Any,
        batch_size: int,
        seed: int | None,
        part: Part,
        *,
        whole: bool,
    ) -> None:
        super().__init__(arrays, batch_size, seed)
        self.part = part
        self.rows = _rows_read(len(self.labels), self.batch_size, part, whole)

    def __len__(self) -> int:
        return -(-self.rows // self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        images, labels = super().__getitem__(index)
        before = index % len(self) * self.batch_size
        rows = self.part.of(min(self.batch_size, self.rows - before))
        return images[rows], labels[rows]


class DividedBatches(keras.utils.PyDataset):
    """This process's rows of every batch of a dataset that is the same on all processes.

    Every process reads all of it, so that the batches are those of one process alone.

    Args:
        dataset: Batches (images, labels); as they are made by `keras_bottleneck.data` where they
            are trained on.
        batch_size: Samples per batch; the last batch may be smaller.
        samples: In all batches.
        part: Which process this is.
        whole: Whether a last batch that is smaller is left out; else as many of its rows are read
            as the devices can divide.

    Raises:
        ValueError: If the devices do not divide a batch, or none is left.
    """

    def __init__(
        self, dataset: Any, batch_size: int, samples: int, part: Part, *, whole: bool
    ) -> None:
        super().__init__()
        self.dataset, self.batch_size, self.samples, self.part = dataset, batch_size, samples, part
        self.rows = _rows_read(samples, batch_size, part, whole)
        self.whole = whole
        self._batches: Iterator[tuple[Any, ...]] = iter(())

    def __len__(self) -> int:
        return -(-self.rows // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        if index >= len(self):
            raise IndexError(index)
        if index == 0:
            self._batches = self._divided(self.dataset)
        return next(self._batches)

    def from_batch(self, first: int) -> Iterator[tuple[Any, ...]]:
        """All passes, one after the other and without end, from the batch `first` on."""
        number, index = divmod(first, len(self))
        of_a_pass = -(-self.samples // self.batch_size)
        return self._divided(self.dataset.from_batch(number * of_a_pass + index))

    def _divided(self, batches: Any) -> Iterator[tuple[Any, ...]]:
        for batch in batches:
            size = len(batch[0])
            rows = size // self.part.devices * self.part.devices
            if size == self.batch_size or (rows and not self.whole):
                yield tuple(np.asarray(array)[self.part.of(rows)] for array in batch)


class OwnBatches(keras.utils.PyDataset):
    """The batches of one process; all processes have equally many.

    If a batch had another size than the first, or did not come, the other processes would wait
    for ever. So it is an error.

    Args:
        name: The argument that `dataset` was given as, for errors.
        dataset: Batches (images, labels, ...) of this process alone.
        steps: How many of them make an epoch.
        endless: Whether an epoch goes on where the previous one stopped, and `dataset` is started
            again only when it ends; otherwise it is started again in every epoch.
        part: Which process this is.
    """

    def __init__(self, name: str, dataset: Any, steps: int, endless: bool, part: Part) -> None:
        super().__init__()
        self.name, self.dataset, self.steps, self.part = name, dataset, steps, part
        self.endless = endless
        self._batches: Iterator[Any] | None = None
        self._ahead: tuple[Any, ...] | None = None
        self._sized: int | None = None

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        if index >= self.steps:
            raise IndexError(index)
        batch = self._next(index)
        rows = len(batch[0])
        if self._sized is None:
            self._sized = rows
            if rows % (self.part.devices // self.part.processes):
                accepted = "batches that the devices of a process can divide"
                raise checks.reject(self.name, rows, f"{accepted} (size of the first batch)")
        if rows != self._sized:
            raise ValueError(
                f"`{self.name}` must have batches of one size, as with `drop_remainder=True`. "
                f"Received: {self._sized} samples in the first and {rows} in batch {index} of "
                f"process {self.part.process}"
            )
        return batch

    @property
    def rows(self) -> int:
        """Samples in the first batch, which is read once."""
        if self._sized is None:
            self._ahead = self[0]
        return int(self._sized or 0)

    def on_epoch_end(self) -> None:
        if isinstance(self.dataset, keras.utils.PyDataset):
            self.dataset.on_epoch_end()

    def _next(self, index: int) -> tuple[Any, ...]:
        if self._ahead is not None:
            batch, self._ahead = self._ahead, None
            return batch
        if isinstance(self.dataset, keras.utils.PyDataset):
            return tuple(self.dataset[index])
        if self._batches is None or (index == 0 and not self.endless):
            self._batches = iter(self.dataset)
        following: Any = next(self._batches, None)
        if following is None and self.endless:
            self._batches = iter(self.dataset)  # a generator stays at its end
            following = next(self._batches, None)
        if following is None:
            raise ValueError(
                f"`{self.name}` must have as many batches as it says. Received: the end of the "
                f"data of process {self.part.process} before batch {index} of {self.steps}"
            )
        return tuple(following)


class OwnStream(OwnBatches):
    """`OwnBatches` of a generator, from which nothing may be read before training begins."""

    _index = -1

    def __iter__(self) -> "OwnStream":
        return self

    def __next__(self) -> tuple[Any, ...]:
        self._index = (self._index + 1) % self.steps
        return self[self._index]


def _rows_read(samples: int, batch_size: int, part: Part, whole: bool) -> int:
    """How many samples all processes read in a pass over `samples`."""
    if batch_size % part.devices:
        accepted = f"a multiple of the {part.devices} devices of the job"
        raise checks.reject("batch_size", batch_size, accepted)
    rows = samples // batch_size * batch_size
    if not whole:
        rows += (samples - rows) // part.devices * part.devices
    if not rows:
        accepted = f"at least {batch_size if whole else part.devices} samples"
        raise checks.reject("train" if whole else "validation", samples, accepted)
    return rows
