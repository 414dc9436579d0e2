"""Channels scaled against each other, so that one range per tensor fits all of them."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_bottleneck.quantization.observation import Moments, observe_moments
from keras_bottleneck.quantization.placement import Placement, Rule

Array = np.ndarray[Any, Any]

# How far the scales go from the first layer's needs (0) to those of its output (1).
MIXTURES = np.linspace(0.0, 1.0, 11)
# Values this much larger than any seen must still pass a ReLU6 whose input was scaled up.
HEADROOM = 2.0
# ... and the gain must be worth the values beyond that, which are lost: a part of the noise.
WORTH_CLIPPING = 0.25
LARGEST_SCALE = 1e4


@dataclass(frozen=True)
class Pair:
    """Two layers with kernels, the second the only reader of the first."""

    first: Any
    second: Any
    between: Any
    ceiling: float


def equalize_channels(placement: Placement, images: Array) -> None:
    """Scale the channels between consecutive layers, in place; what the network computes stays.

    A positive factor in the outputs of one layer passes a ReLU and is divided out of the inputs
    of the next. Of a family of factors the one is taken that makes the least rounding noise in
    the second layer's output, by the ranges and powers measured on `images`. Through a ReLU6
    channels are only scaled as far as they stay below 6.

    Args:
        placement: Where a primitive network's quantizers go.
        images: (N, height, width, channels) inputs.

    Source: Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias
    Correction", section 4.1; the noise is that of uniform rounding, step squared / 12.
    """
    pairs = _pairs(placement)
    if not pairs:
        return
    moments = observe_moments(placement.model, [pair.between for pair in pairs], images)
    scaled = {}
    for pair, seen in zip(pairs, moments, strict=True):
        # The first layer's own inputs were divided by the scales of the pair before it.
        scaled[id(pair.between)] = _scales(pair, seen)
    for pair in pairs:
        _apply(pair, scaled[id(pair.between)])


def _pairs(placement: Placement) -> list[Pair]:
    pairs = []
    calls_of: dict[int, int] = {}
    for call in placement.calls:
        calls_of[id(call.operation)] = calls_of.get(id(call.operation), 0) + 1
    for call in placement.calls:
        if placement.rule(call) is not Rule.KERNEL:
            continue
        tensor, ceiling = call.outputs[0], np.inf
        reader = _only_reader(placement, tensor)
        while reader is not None and (
            placement.rule(reader) is Rule.CLIP or type(reader.operation) in UNMIXED
        ):
            if placement.rule(reader) is Rule.CLIP and reader.operation.max_value is not None:
                ceiling = 6.0
            tensor = reader.outputs[0]
            reader = _only_reader(placement, tensor)
        if reader is None or placement.rule(reader) is not Rule.KERNEL:
            continue
        first, second = call.operation, reader.operation
        once = calls_of[id(first)] == calls_of[id(second)] == 1
        if (
            once
            and type(first) in OUTPUT_AXIS
            and type(second) in INPUT_AXIS
            and _ungrouped(second)
        ):
            pairs.append(Pair(first, second, tensor, ceiling))
    return pairs


UNMIXED = (
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.ZeroPadding2D,
    keras.layers.Cropping2D,
    keras.layers.UpSampling2D,
    keras.layers.Dropout,
)
# The axis of a kernel that counts output channels, and the one that counts input channels.
OUTPUT_AXIS = {
    keras.layers.Conv2D: 3,
    keras.layers.DepthwiseConv2D: 2,
    keras.layers.Dense: 1,
    keras.layers.Conv2DTranspose: 2,
}
INPUT_AXIS = {
    keras.layers.Conv2D: 2,
    keras.layers.DepthwiseConv2D: 2,
    keras.layers.Dense: 0,
    keras.layers.Conv2DTranspose: 3,
}


def _ungrouped(layer: Any) -> bool:
    return getattr(layer, "groups", 1) == 1


def _only_reader(placement: Placement, tensor: Any) -> Any:
    readers = placement.readers[id(tensor)]
    return readers[0] if len(readers) == 1 else None


def _scales(pair: Pair, seen: Moments) -> Array:
    """The factor of each channel."""
    reach = seen.reach
    kernel = np.asarray(keras.ops.convert_to_numpy(pair.second.kernel), np.float64)
    largest = _by_input(pair.second, kernel, np.max)
    alive = (reach > 1e-6 * reach.max()) & (largest > 1e-6 * largest.max())
    if not alive.any():
        return np.ones_like(reach)
    reach, largest = np.where(alive, reach, reach.max()), np.where(alive, largest, largest.max())
    # A channel that reaches the ceiling stays; others may grow to just below it.
    room = np.where(reach * HEADROOM < pair.ceiling, pair.ceiling / (reach * HEADROOM), 1.0)
    best, least = np.ones_like(reach), np.inf
    unscaled = _noise(pair.second, kernel, best, reach, seen.power)
    candidates = [np.ones_like(reach)]
    for mixture in MIXTURES:
        scale = (1 / reach) ** mixture * largest ** (1 - mixture)
        scale = scale * (np.median(reach) / np.median(reach * scale))
        if np.isfinite(pair.ceiling):
            # Only as a whole may it grow or shrink; a clipped channel pins the whole.
            scale = scale / np.max(scale[room <= 1.0]) if (room <= 1.0).any() else scale
            scale = np.where(room <= 1.0, 1.0, np.minimum(scale, room))
        candidates.append(np.clip(scale, 1 / LARGEST_SCALE, LARGEST_SCALE))
    for scale in candidates:
        scale = np.where(alive, scale, 1.0)
        noise = _noise(pair.second, kernel, scale, reach, seen.power)
        if noise < least * 0.999:
            best, least = scale, noise
    if np.isfinite(pair.ceiling) and least > WORTH_CLIPPING * unscaled:
        return np.ones_like(reach)
    return best


def _noise(layer: Any, kernel: Array, scale: Array, reach: Array, power: Array) -> float:
    """The power of the rounding noise in the layer's output, up to a common factor."""
    divided = kernel / _along(layer, scale)
    step = np.max(scale * reach) / 255
    gain = _by_input(layer, divided**2, np.sum)
    activations = step**2 * np.sum(gain)
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        taps = kernel.shape[0] * kernel.shape[1]
        steps = np.max(np.abs(divided), axis=(0, 1, 3)) / 127
        return activations + taps * np.sum(steps**2 * scale**2 * power)
    axis = INPUT_AXIS[type(layer)]
    outputs = OUTPUT_AXIS[type(layer)]
    others = tuple(i for i in range(kernel.ndim) if i != outputs)
    steps = np.max(np.abs(divided), axis=others) / 127
    if isinstance(layer, (keras.layers.Dense, keras.layers.Conv2DTranspose)):
        steps = np.full_like(steps, steps.max())
    taps = kernel.size / kernel.shape[axis] / kernel.shape[outputs]
    return activations + taps * np.sum(steps**2) * np.sum(scale**2 * power)


def _by_input(layer: Any, kernel: Array, reduce: Any) -> Array:
    axis = INPUT_AXIS[type(layer)]
    return reduce(np.abs(kernel), axis=tuple(i for i in range(kernel.ndim) if i != axis))


def _along(layer: Any, scale: Array) -> Array:
    shape = [1] * len(layer.kernel.shape)
    shape[INPUT_AXIS[type(layer)]] = -1
    return scale.reshape(shape)


def _apply(pair: Pair, scale: Array) -> None:
    kernel, bias = (np.asarray(weight, np.float64) for weight in pair.first.get_weights())
    shape = [1] * kernel.ndim
    shape[OUTPUT_AXIS[type(pair.first)]] = -1
    pair.first.set_weights([kernel * scale.reshape(shape), bias * scale])
    kernel, bias = (np.asarray(weight, np.float64) for weight in pair.second.get_weights())
    pair.second.set_weights([kernel / _along(pair.second, scale), bias])
