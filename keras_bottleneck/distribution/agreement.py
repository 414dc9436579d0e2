"""The checks by which the processes of a job agree before they train."""

import zlib
from typing import Any

import numpy as np

from keras_bottleneck.distribution.ending import DistributionError
from keras_bottleneck.distribution.parts import OwnBatches


def agree(recipe: Any, train: Any, validation: Any) -> None:
    """Makes sure that all processes train the same, and as many steps.

    Args:
        recipe: How they train.
        train: The part of this process: its own batches get as few steps as any process has.
        validation: The same; None for none.

    Raises:
        DistributionError: On every process, if they do not.
    """
    check_same("`recipe`", number_of(repr(recipe).encode()))
    kinds = ",".join(type(part).__name__ for part in (train, validation))
    check_same("The kind of `train` and `validation`", number_of(kinds.encode()))
    for name, data in (("train", train), ("validation", validation)):
        if isinstance(data, OwnBatches):
            data.steps = int(gathered(data.steps).min())
            check_same(f"The size of a batch of `{name}`", data.rows)
        elif data is not None:
            check_same(f"The number of samples of `{name}`", data.rows)


def meet() -> None:
    """Waits until every process is here."""
    gathered(0)


def gathered(number: int) -> np.ndarray:
    """The number of each process, in their order; it has 31 bits."""
    from jax.experimental import multihost_utils

    return np.ravel(multihost_utils.process_allgather(np.int32(number)))


def check_same(what: str, number: int) -> None:
    """Refuses a job whose processes differ in something.

    Args:
        what: What must not differ, as the subject of a sentence.
        number: Its value on this process, of 31 bits.

    Raises:
        DistributionError: On every process, if the number is not the same on all.
    """
    of_all = gathered(number)
    other = np.flatnonzero(of_all != of_all[0])
    if len(other):
        raise DistributionError(
            f"{what} must be the same on every process. Received: {of_all[0]} on process 0 and "
            f"{of_all[other[0]]} on process {other[0]}"
        )


def number_of(content: bytes) -> int:
    """A number of 31 bits that tells contents apart."""
    return zlib.crc32(content) >> 1
