"""Bilinear resizing with antialiasing in numpy: TensorFlow's numbers without TensorFlow.

The triangle filter with half-pixel centres, as in `tf.image.resize(..., antialias=True)`.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

# Small blocks waste few multiplications outside the band, large ones need few matmuls.
ROWS_PER_BLOCK = 16


class Block(NamedTuple):
    """Consecutive output rows, the input rows that they read, and the weights between the two."""

    outputs: slice
    inputs: slice
    weights: np.ndarray


def resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """`pixels` (H, W, C) as float32 (height, width, C); untouched where the size is already right.

    Example:
        >>> resize(np.float32([[[0.0]], [[8.0]]]), 4, 1).ravel().tolist()
        [0.0, 2.0, 6.0, 8.0]
    """
    if pixels.shape[0] != height:
        pixels = _resize_rows(pixels, height)
    if pixels.shape[1] != width:
        pixels = _resize_rows(pixels.swapaxes(0, 1), width).swapaxes(0, 1)
    return np.ascontiguousarray(pixels)


def _resize_rows(pixels: np.ndarray, rows: int) -> np.ndarray:
    flat = np.ascontiguousarray(pixels).reshape(len(pixels), -1)
    result = np.empty((rows, flat.shape[1]), np.float32)
    for block in _blocks(len(pixels), rows):
        np.matmul(block.weights, flat[block.inputs], out=result[block.outputs])
    return result.reshape(rows, *pixels.shape[1:])


@lru_cache(maxsize=64)
def _blocks(inputs: int, outputs: int) -> tuple[Block, ...]:
    """The triangle filter's banded (outputs, inputs) weight matrix, one block of rows at a time."""
    # Sampling positions are float32 because they are in TensorFlow's kernel, where their rounding
    # alone moves the pixels of a 300 pixel image by more than 1e-3.
    step = np.float32(1) / (np.float32(outputs) / np.float32(inputs))
    radius = max(step, np.float32(1))
    blocks = []
    for start in range(0, outputs, ROWS_PER_BLOCK):
        stop = min(start + ROWS_PER_BLOCK, outputs)
        centres = (np.arange(start, stop, dtype=np.float32) + np.float32(0.5)) * step
        first = max(int(centres[0] - radius), 0)
        last = min(int(centres[-1] + radius) + 1, inputs)
        positions = np.arange(first, last, dtype=np.float32) + np.float32(0.5)
        distances = np.abs(positions - centres[:, None]) * (np.float32(1) / radius)
        weights = np.maximum(np.float32(1) - distances, np.float32(0))
        weights /= weights.sum(axis=1, keepdims=True)
        blocks.append(Block(slice(start, stop), slice(first, last), weights))
    return tuple(blocks)
