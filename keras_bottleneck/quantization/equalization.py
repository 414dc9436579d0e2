"""Channels scaled against each other, so that one range per tensor fits all of them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_bottleneck.keras_private import Call
from keras_bottleneck.quantization.fake_quant import KERNEL_CODES, step_of
from keras_bottleneck.quantization.kernels import QUANTIZED
from keras_bottleneck.quantization.observation import Moments, observe_moments, spread
from keras_bottleneck.quantization.placement import Placement, Rule

Array = np.ndarray[Any, Any]

# How far the scales go from what the second layer's kernel wants (0) to what the tensor wants (1).
MIXTURES = np.linspace(0.0, 1.0, 11)
LARGEST_SCALE = 1e4
# Values this much larger than any seen must still pass a ReLU6 whose input was scaled up ...
HEADROOM = 2.0
# ... and those beyond are lost: only where the noise falls to this part is that worth it.
WORTH_CLIPPING = 0.25
# Images that channels are measured on.
IMAGES = 32
# Channels this much below the largest are dead, and have no range to speak of.
DEAD = 1e-6
# Layers that keep channels apart and take a positive factor out again.
UNMIXED = (
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.ZeroPadding2D,
    keras.layers.Cropping2D,
    keras.layers.UpSampling2D,
    keras.layers.Dropout,
)


@dataclass(frozen=True)
class Pair:
    """Two layers with kernels, the second the only reader of the first.

    `between` is the tensor that the second reads, `clipped` the output of the last ReLU before it,
    and `ceiling` the value at which that ReLU clips, infinity where it does not clip.
    """

    first: Any
    second: Any
    between: Any
    clipped: Any
    ceiling: float


def equalize_channels(placement: Placement, images: Array) -> None:
    """Scale the channels between consecutive layers, in place; the network's output stays the same.

    A positive factor in the outputs of one layer passes a ReLU and is divided out of the inputs
    of the next. Several factors are tried, and that with the least rounding noise in the second
    layer's output is taken, by the ranges and powers measured on `images`. In front of a ReLU6,
    channels only grow as far as they stay well below 6, and only where that gains much.

    Args:
        placement: Where a primitive network's quantizers go.
        images: (N, height, width, channels) inputs; 32 of them are enough.

    Source: Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias
    Correction", section 4.1; the noise is that of uniform rounding, step squared / 12.
    """
    pairs = list(_pairs(placement))
    if not pairs:
        return
    images = spread(images, IMAGES)
    tensors = [pair.between for pair in pairs] + [pair.clipped for pair in pairs]
    moments = observe_moments(placement.model, tensors, images)
    read, clipped = moments[: len(pairs)], moments[len(pairs) :]
    measured = zip(pairs, read, clipped, strict=True)
    scales = [_scales(pair, seen, peaks.reach) for pair, seen, peaks in measured]
    for pair, scale in zip(pairs, scales, strict=True):
        _apply(pair, scale)


def _pairs(placement: Placement) -> Iterator[Pair]:
    uses = Counter(id(call.operation) for call in placement.calls)
    for call in placement.calls:
        if placement.rule(call) is not Rule.KERNEL:
            continue
        pair = _pair(placement, call)
        if pair is None or getattr(pair.second, "groups", 1) > 1:
            continue
        if uses[id(pair.first)] == uses[id(pair.second)] == 1:
            yield pair


def _pair(placement: Placement, call: Call) -> Pair | None:
    """The pair of `call` and the layer that alone reads it, behind ReLUs and poolings."""
    tensor = clipped = call.outputs[0]
    ceiling = np.inf
    while (reader := placement.wiring.only_reader(tensor)) is not None:
        rule = placement.rule(reader)
        if rule is Rule.KERNEL:
            return Pair(call.operation, reader.operation, tensor, clipped, ceiling)
        clips = rule is Rule.CLIP and isinstance(reader.operation, keras.layers.ReLU)
        if rule is None or not (clips or isinstance(reader.operation, UNMIXED)):
            return None
        tensor = reader.outputs[0]
        if clips and reader.operation.max_value:
            # After a pooling, the tensor that it clips is smaller.
            clipped, ceiling = tensor, reader.operation.max_value
    return None


def _scales(pair: Pair, moments: Moments, peaks: Array) -> Array:
    """The factor of each channel, (channels,); `peaks` are what the ReLU before it made."""
    kernel = np.asarray(keras.ops.convert_to_numpy(pair.second.kernel), np.float64)
    largest = _largest_by_input(pair.second, kernel)
    alive = (moments.reach > DEAD * moments.reach.max()) & (largest > DEAD * largest.max())
    unscaled = np.ones_like(largest)
    if not alive.any():
        return unscaled
    reach = np.where(alive, moments.reach, moments.reach.max()).astype(np.float64)
    largest = np.where(alive, largest, largest.max())
    candidates = [unscaled]
    for mixture in MIXTURES:
        scale = largest ** (1 - mixture) / reach**mixture
        scale = _below_ceiling(scale * np.median(reach) / np.median(reach * scale), peaks, pair)
        scale = np.clip(scale, 1 / LARGEST_SCALE, LARGEST_SCALE)
        candidates.append(np.where(alive, scale, 1.0))
    noise = [_noise(pair.second, kernel, scale, reach, moments.power) for scale in candidates]
    best = int(np.argmin(noise))
    worth = 1.0 if np.isinf(pair.ceiling) else WORTH_CLIPPING
    return candidates[best] if noise[best] < worth * noise[0] else unscaled


def _below_ceiling(scale: Array, peaks: Array, pair: Pair) -> Array:
    """`scale`, up to a common factor, such that no channel grows into the ceiling."""
    if np.isinf(pair.ceiling):
        return scale
    room = pair.ceiling / (HEADROOM * np.maximum(peaks, DEAD * pair.ceiling))
    # What is clipped, or might be, stays as it is: the others are scaled towards it.
    pinned = room <= 1.0
    common = np.max(scale[pinned]) if pinned.any() else np.max(scale / room)
    return np.where(pinned, 1.0, np.minimum(scale / common, room))


def _noise(layer: Any, kernel: Array, scale: Array, reach: Array, power: Array) -> float:
    """The power of the rounding noise in the layer's output, up to a common factor."""
    kind = QUANTIZED[type(layer)]
    divided = kernel / _along(layer, kind.INPUT_AXIS, scale)
    outputs = kind.CHANNEL_AXIS % kernel.ndim
    others = tuple(axis for axis in range(kernel.ndim) if axis != outputs)
    steps = np.max(np.abs(divided), axis=others if kind.PER_CHANNEL else None) / KERNEL_CODES
    # What multiplies each weight's rounding error, summed over the weights of an output.
    inputs = scale**2 * power
    taps = kernel.size / len(scale) / (1 if outputs == kind.INPUT_AXIS else kernel.shape[outputs])
    weights = (
        np.sum(steps**2 * inputs)
        if outputs == kind.INPUT_AXIS
        else (np.sum(np.broadcast_to(steps**2, kernel.shape[outputs])) * np.sum(inputs))
    )
    activation_step = step_of(0.0, np.max(scale * reach))
    return float(activation_step**2 * np.sum(divided**2) + taps * weights)


def _largest_by_input(layer: Any, kernel: Array) -> Array:
    """The largest absolute value that each input channel is multiplied with."""
    inputs = QUANTIZED[type(layer)].INPUT_AXIS % kernel.ndim
    others = tuple(axis for axis in range(kernel.ndim) if axis != inputs)
    return np.max(np.abs(kernel), axis=others)


def _along(layer: Any, axis: int, scale: Array) -> Array:
    """`scale` in a shape that broadcasts along one axis of the kernel."""
    shape = [1] * len(layer.kernel.shape)
    shape[axis] = -1
    return scale.reshape(shape)


def _apply(pair: Pair, scale: Array) -> None:
    outputs = QUANTIZED[type(pair.first)].CHANNEL_AXIS
    inputs = QUANTIZED[type(pair.second)].INPUT_AXIS
    kernel, bias = (np.asarray(weight, np.float64) for weight in pair.first.get_weights())
    pair.first.set_weights([kernel * _along(pair.first, outputs, scale), bias * scale])
    kernel, bias = (np.asarray(weight, np.float64) for weight in pair.second.get_weights())
    pair.second.set_weights([kernel / _along(pair.second, inputs, scale), bias])
