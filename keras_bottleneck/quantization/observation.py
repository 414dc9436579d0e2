"""What the tensors of a network hold while images run through it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_bottleneck.progress import track
from keras_bottleneck.quantization.histogram import Histogram

Array = np.ndarray[Any, Any]

BATCH = 8


@dataclass
class Moments:
    """Of each channel, the largest absolute value and the mean square; both (channels,)."""

    reach: Array
    power: Array


def spread(images: Array, count: int) -> Array:
    """At most `count` of them, evenly spaced: neighbours are often of one class."""
    return images[:: max(1, -(-len(images) // count))]


def activations(
    model: keras.Model, tensors: Sequence[Any], images: Array, description: str
) -> Iterator[list[Array]]:
    """The values of `tensors` of `model`, batch by batch."""
    if not tensors:
        return
    inside = keras.Model(model.inputs[0], list(tensors))
    batch = model.inputs[0].shape[0] or BATCH
    count = len(images) // batch * batch
    batches = np.split(images[:count], range(batch, count, batch)) if count else []
    if count < len(images):
        batches.append(images[count:])
    for one in track(batches, len(batches), description):
        found = keras.tree.flatten(inside(one, training=False))
        yield [np.asarray(keras.ops.convert_to_numpy(value)) for value in found]


def observe_moments(model: keras.Model, tensors: Sequence[Any], images: Array) -> list[Moments]:
    """The moments of each of `tensors`, (..., channels), over all images."""
    reaches: list[Any] = [0.0 for _ in tensors]
    powers: list[Any] = [0.0 for _ in tensors]
    counts = [0 for _ in tensors]
    for values in activations(model, tensors, images, "measure channels"):
        for index, value in enumerate(values):
            flat = value.reshape(-1, value.shape[-1])
            reaches[index] = np.maximum(reaches[index], np.abs(flat).max(0))
            powers[index] += np.square(flat).sum(0, dtype=np.float64)
            counts[index] += len(flat)
    return [Moments(*one) for one in zip(reaches, map(np.divide, powers, counts), strict=True)]


def observe_histograms(
    model: keras.Model, tensors: Sequence[Any], images: Array
) -> list[Histogram]:
    """The histogram of each of `tensors` over all images."""
    histograms = [Histogram() for _ in tensors]
    for values in activations(model, tensors, images, "calibrate"):
        for histogram, value in zip(histograms, values, strict=True):
            histogram.update(value)
    return histograms
