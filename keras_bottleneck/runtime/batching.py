"""Batches for models whose batch size is fixed."""

from collections.abc import Callable

import numpy as np


def in_batches(
    run: Callable[[np.ndarray], np.ndarray], batch: np.ndarray, size: int | None
) -> np.ndarray:
    """`run` over `batch` (N, ...) in pieces of exactly `size` samples; None means all at once.

    The last piece is filled up with zeros, whose outputs are dropped.

    Example:
        >>> in_batches(lambda piece: piece + 1, np.zeros((3, 2), np.float32), size=2).shape
        (3, 2)
    """
    if size is None or len(batch) == size:
        return run(batch)
    missing = -len(batch) % size
    padding = np.zeros((missing, *batch.shape[1:]), batch.dtype)
    pieces = np.split(np.concatenate([batch, padding]), (len(batch) + missing) // size)
    return np.concatenate([run(piece) for piece in pieces])[: len(batch)]
