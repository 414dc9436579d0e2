"""What the tensors of a network hold while images run through it."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_bottleneck import keras_private
from keras_bottleneck.console import track
from keras_bottleneck.keras_private import Call
from keras_bottleneck.quantization.histogram import Histogram

Array = np.ndarray[Any, Any]

# Layers are called one by one, and with few images the calls cost as much as the arithmetic.
BATCH = 32
# Bytes that the largest tensor of a batch may take.
MEMORY = 2**28
# How many values of a tensor are counted in each batch: with more, the ranges stay the same.
COUNTED = 2**22


@dataclass
class Moments:
    """The largest absolute value and the mean square of each channel; both (channels,)."""

    reach: Array
    power: Array


def spread(images: Array, count: int) -> Array:
    """At most `count` of them, evenly spaced: neighbours are often of one class."""
    return images[:: max(1, -(-len(images) // count))]


def affordable(model: keras.Model) -> int:
    """How many images' largest tensor fits in `MEMORY` bytes; `BATCH` where sizes are unknown."""
    computed = [tensor for call in keras_private.calls(model) for tensor in call.outputs]
    shapes = [tensor.shape[1:] for tensor in computed]
    if any(None in shape for shape in shapes):
        return BATCH
    return max(1, MEMORY // (4 * max(math.prod(shape) for shape in shapes)))


def activations(
    model: keras.Model, tensors: Sequence[Any], images: Array, description: str
) -> Iterator[list[Array]]:
    """The values of `tensors` of `model`, batch by batch."""
    if not tensors:
        return
    inside = keras.Model(model.inputs[0], list(tensors))
    for batch in track_batches(model, images, description):
        values = keras.tree.flatten(inside(batch, training=False))
        yield [np.asarray(keras.ops.convert_to_numpy(value)) for value in values]


def track_batches(model: keras.Model, images: Array, description: str) -> Iterator[Array]:
    """`images` in batches that `model` takes, behind a progress bar."""
    size = model.inputs[0].shape[0] or min(BATCH, affordable(model))
    whole = len(images) // size * size
    batches = np.split(images[:whole], range(size, whole, size)) if whole else []
    if whole < len(images):
        batches.append(images[whole:])
    yield from track(batches, len(batches), description)


def watch(
    model: keras.Model,
    tensors: Sequence[Any],
    images: Array,
    description: str,
    look: Callable[[int, Any], None],
) -> None:
    """Call `look(index, value)` with the values of each of `tensors`, batch by batch.

    No value is kept longer than the network needs it.
    """
    places = defaultdict(list)
    for index, tensor in enumerate(tensors):
        places[id(tensor)].append(index)

    def seen(tensor: Any, value: Any) -> None:
        for index in places[id(tensor)]:
            look(index, value)

    def visit(call: Call, args: Any, kwargs: Any) -> Any:
        values = call.operation(*args, **kwargs)
        for tensor, value in zip(call.outputs, keras.tree.flatten(values), strict=True):
            seen(tensor, value)
        return values

    for batch in track_batches(model, images, description) if tensors else ():
        image = keras.ops.convert_to_tensor(batch)
        seen(model.inputs[0], image)
        keras_private.replay(model, [image], visit)


def observe_moments(model: keras.Model, tensors: Sequence[Any], images: Array) -> list[Moments]:
    """The moments of each of `tensors`, (..., channels), over all images."""
    reaches: list[Any] = [0.0 for _ in tensors]
    powers: list[Any] = [0.0 for _ in tensors]
    counts = [0 for _ in tensors]

    def look(index: int, value: Any) -> None:
        axes = tuple(range(len(value.shape) - 1))
        largest = keras.ops.max(keras.ops.abs(value), axis=axes)
        power = keras.ops.mean(keras.ops.square(value), axis=axes)
        count = math.prod(value.shape[:-1])
        reaches[index] = np.maximum(reaches[index], keras.ops.convert_to_numpy(largest))
        powers[index] += np.float64(count) * keras.ops.convert_to_numpy(power)
        counts[index] += count

    watch(model, tensors, images, "measure channels", look)
    return [Moments(*pair) for pair in zip(reaches, map(np.divide, powers, counts), strict=True)]


def observe_histograms(
    model: keras.Model, tensors: Sequence[Any], images: Array
) -> list[Histogram]:
    """The histogram of each of `tensors` over all images."""
    histograms = [Histogram() for _ in tensors]

    def look(index: int, value: Any) -> None:
        values = np.asarray(keras.ops.convert_to_numpy(value))
        histograms[index].update(values, every=_stride(values))

    watch(model, tensors, images, "calibrate", look)
    return histograms


def _stride(values: Array) -> int:
    """The distance between counted values, such that all channels are counted."""
    stride = max(1, values.size // COUNTED)
    while math.gcd(stride, values.shape[-1]) > 1:
        stride += 1
    return stride
