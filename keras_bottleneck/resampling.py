"""Resizing with antialiasing in numpy: TensorFlow's numbers without TensorFlow.

The triangle filter and Keys's cubic filter (a = -0.5) with half-pixel centres, as in
`tf.image.resize(..., antialias=True)` and in Pillow.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

# Small blocks waste few multiplications outside the band, large ones need few matmuls.
ROWS_PER_BLOCK = 16


def _triangle(distances: np.ndarray) -> np.ndarray:
    return np.maximum(np.float32(1) - distances, np.float32(0))


def _cubic(distances: np.ndarray) -> np.ndarray:
    """Source: Keys 1981, "Cubic convolution interpolation for digital image processing"."""
    distances = distances.astype(np.float64)  # large terms cancel each other out
    near = (1.5 * distances - 2.5) * distances**2 + 1
    far = ((-0.5 * distances + 2.5) * distances - 4) * distances + 2
    return np.where(distances < 1, near, np.where(distances < 2, far, 0))


class Filter(NamedTuple):
    """How much of a pixel an output takes, by the distance between the two.

    Attributes:
        weights: Of distances, in pixels of the smaller of input and output.
        radius: Where the weights end.
        overshoots: Whether some weights are negative, so that results may leave 0..255.
    """

    weights: Callable[[np.ndarray], np.ndarray]
    radius: int
    overshoots: bool


FILTERS = {
    "bilinear": Filter(_triangle, 1, overshoots=False),
    "bicubic": Filter(_cubic, 2, overshoots=True),
}


class Block(NamedTuple):
    """Consecutive output rows, the input rows that they read, and the weights between the two."""

    outputs: slice
    inputs: slice
    weights: np.ndarray


def resize(
    pixels: np.ndarray, height: int, width: int, interpolation: str = "bilinear"
) -> np.ndarray:
    """`pixels` (H, W, C) as float32 (height, width, C); untouched where the size is already right.

    What overshoots 0..255 is cut off after each direction, of which Pillow takes the width first
    (since Pillow 13 not where the height shrinks much more); where nothing does, the height first
    is faster.

    Args:
        pixels: Of values 0..255.
        height: Rows of the result.
        width: Columns of the result.
        interpolation: A key of `FILTERS`.

    Example:
        >>> resize(np.float32([[[0.0]], [[8.0]]]), 4, 1).ravel().tolist()
        [0.0, 2.0, 6.0, 8.0]
    """
    overshoots = FILTERS[interpolation].overshoots
    for axis, side in ((1, width), (0, height)) if overshoots else ((0, height), (1, width)):
        if pixels.shape[axis] != side:
            pixels = _resize_rows(pixels.swapaxes(0, axis), side, interpolation).swapaxes(0, axis)
            if overshoots:
                pixels = np.clip(pixels, 0, 255)
    return np.ascontiguousarray(pixels)


def _resize_rows(pixels: np.ndarray, rows: int, interpolation: str) -> np.ndarray:
    flat = np.ascontiguousarray(pixels).reshape(len(pixels), -1)
    result = np.empty((rows, flat.shape[1]), np.float32)
    for block in _blocks(len(pixels), rows, interpolation):
        read = flat[block.inputs].astype(block.weights.dtype, copy=False)
        np.matmul(block.weights, read, out=result[block.outputs], casting="same_kind")
    return result.reshape(rows, *pixels.shape[1:])


@lru_cache(maxsize=64)
def _blocks(inputs: int, outputs: int, interpolation: str) -> tuple[Block, ...]:
    """The filter's banded (outputs, inputs) weight matrix, one block of rows at a time."""
    # Sampling positions are float32 because they are in TensorFlow's kernel, where their rounding
    # alone moves the pixels of a 300 pixel image by more than 1e-3.
    step = np.float32(1) / (np.float32(outputs) / np.float32(inputs))
    scale = max(step, np.float32(1))
    kernel = FILTERS[interpolation]
    reach = kernel.radius * scale
    blocks = []
    for start in range(0, outputs, ROWS_PER_BLOCK):
        stop = min(start + ROWS_PER_BLOCK, outputs)
        centres = (np.arange(start, stop, dtype=np.float32) + np.float32(0.5)) * step
        first = max(int(centres[0] - reach), 0)
        last = min(int(centres[-1] + reach) + 1, inputs)
        positions = np.arange(first, last, dtype=np.float32) + np.float32(0.5)
        distances = np.abs(positions - centres[:, None]) * (np.float32(1) / scale)
        weights = kernel.weights(distances)
        weights /= weights.sum(axis=1, keepdims=True)
        blocks.append(Block(slice(start, stop), slice(first, last), weights))
    return tuple(blocks)
