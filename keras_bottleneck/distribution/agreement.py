"""What the processes of a job tell each other before they train."""

import zlib
from collections.abc import Sequence

import numpy as np

from keras_bottleneck.distribution.leaving import DistributionError


def gathered(numbers: Sequence[int]) -> np.ndarray:
    """The `numbers` of every process, int64 (processes, numbers); each may hold 31 bits."""
    from jax.experimental import multihost_utils

    rows = multihost_utils.process_allgather(np.asarray(numbers, np.int32))
    return np.asarray(rows, np.int64).reshape(-1, len(numbers))


def check_same(what: str, number: int) -> None:
    """Refuses a job whose processes differ in something.

    Args:
        what: It, as the subject of a sentence.
        number: What it is here, of 31 bits.

    Raises:
        DistributionError: On every process, if the number is not the same on all.
    """
    of_all = gathered([number])[:, 0]
    other = np.flatnonzero(of_all != of_all[0])
    if len(other):
        raise DistributionError(
            f"{what} must be the same on every process. Received: {of_all[0]} on process 0 and "
            f"{of_all[other[0]]} on process {other[0]}"
        )


def fewest(steps: int) -> int:
    """The smallest number of steps that a process has: as many are trained on all of them."""
    return int(gathered([steps]).min())


def number_of(content: bytes) -> int:
    """A number of 31 bits that tells contents apart."""
    return zlib.crc32(content) >> 1
