"""Batches for models whose batch size is fixed."""

from collections.abc import Callable

import numpy as np

from keras_bottleneck.runtime.ports import Feed, joined


def in_batches(run: Callable[[Feed], Feed], feed: Feed, size: int | None) -> Feed:
    """`run` over a feed in pieces of exactly `size` samples; None means all at once.

    The last piece is filled up with zeros, whose outputs are dropped.

    Example:
        >>> three = Feed({"x": np.zeros((3, 2), np.float32)})
        >>> in_batches(lambda piece: Feed({"y": piece["x"] + 1}), three, size=2)["y"].shape
        (3, 2)
    """
    if size is None or feed.samples == size:
        return run(feed)
    missing = -feed.samples % size
    padded = Feed({name: _padded(array, missing) for name, array in feed.items()})
    return joined(run(piece) for piece in padded.parts(size)).part(slice(feed.samples))


def _padded(array: np.ndarray, missing: int) -> np.ndarray:
    return np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)])
