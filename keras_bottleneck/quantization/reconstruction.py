"""Kernels and biases adjusted to rounded inputs, layer after layer."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_bottleneck import keras_private
from keras_bottleneck.console import track
from keras_bottleneck.keras_private import Call
from keras_bottleneck.quantization import rounding
from keras_bottleneck.quantization.insertion import Insertion
from keras_bottleneck.quantization.kernels import QuantizedKernel
from keras_bottleneck.quantization.observation import affordable, spread
from keras_bottleneck.quantization.patches import POSITIONS, patches
from keras_bottleneck.quantization.quantizers import FakeQuantize

Array = np.ndarray[Any, Any]

# The means of sums are the same on more images; adaptive rounding takes what fits in memory.
IMAGES = 64
# Images that the ratio of signal to noise is taken of.
MEASURED = 16


@dataclass
class Twin:
    """A value as the float network has it, and as the quantized one does."""

    exact: Any
    rounded: Any


def reconstruct(
    insertion: Insertion, images: Array, adaptive: bool, correct_biases: bool
) -> list[tuple[QuantizedKernel, float]]:
    """Adjust the kernels of a calibrated model, in place, from its input to its output.

    The float and the quantized network run side by side; at each kernel, the sums of both are
    known. Bias correction makes their means equal; adaptive rounding chooses the codes that
    bring them together.

    Args:
        insertion: A quantized model whose ranges are set.
        images: (N, height, width, channels); as many are used as fit in memory.
        adaptive: Whether kernels are rounded adaptively.
        correct_biases: Whether biases are corrected.

    Returns:
        The layers with kernels, each with the ratio of signal to noise of its outputs in dB.

    Source: bias correction is Nagel et al. 2019, section 4.2, measured instead of derived.
    """
    model = insertion.model
    count = sum(1 for call in keras_private.calls(model))
    noise: dict[int, tuple[QuantizedKernel, float]] = {}
    visits = track(range(count), count, "adjust kernels")

    def visit(call: Call, args: Any, kwargs: Any) -> Any:
        next(visits)
        operation = call.operation
        if isinstance(operation, FakeQuantize):
            x = args[0]
            rounded, *grid = _run(operation, "rounded", args, kwargs)
            return Twin(x.exact, rounded), *(Twin(tensor, tensor) for tensor in grid)
        if isinstance(operation, QuantizedKernel):
            x, step = args
            exact = insertion.sources[id(operation)](x.exact)
            if id(operation) in noise:  # it is called again, and has been adjusted
                rounded = operation(x.rounded, step.rounded)
            else:
                rounded = _adjusted(
                    operation, x.rounded, step.rounded, exact, adaptive, correct_biases
                )
            few = (_numpy(spread(value, MEASURED)) for value in (exact, rounded))
            noise[id(operation)] = operation, sqnr(*few)
            return Twin(exact, rounded)
        outputs = [_run(operation, side, args, kwargs) for side in ("exact", "rounded")]
        return keras.tree.map_structure(Twin, *outputs)

    most = affordable(model) if adaptive else min(IMAGES, affordable(model))
    chosen = keras.ops.convert_to_tensor(spread(images, most))
    keras_private.replay(model, [Twin(chosen, chosen)], visit)
    next(visits, None)
    return list(noise.values())


def sqnr(exact: Array, rounded: Array) -> float:
    """The power of `exact` over that of the difference, in dB, at most 200."""
    signal = np.sum(np.square(exact, dtype=np.float64))
    error = np.sum(np.square(exact - rounded, dtype=np.float64))
    return float(10 * np.log10(max(signal, 1e-30) / max(error, 1e-20 * signal, 1e-30)))


def _run(operation: Any, side: str, args: Any, kwargs: Any) -> Any:
    """What `operation` makes of one side of its arguments."""
    args, kwargs = keras.tree.map_structure(
        lambda value: getattr(value, side) if isinstance(value, Twin) else value, (args, kwargs)
    )
    return operation(*args, **kwargs)


def _adjusted(
    layer: QuantizedKernel, x: Any, step: Any, exact: Any, adaptive: bool, correct_biases: bool
) -> Any:
    """What `layer` makes of `x` once its kernel and bias are adjusted."""
    if adaptive and not isinstance(layer, keras.layers.Conv2DTranspose):
        _round(layer, _numpy(x), _numpy(exact))
        layer.reach.assign(keras.ops.maximum(layer.reach, layer.bias_floor(step)))
    else:
        reach = layer.full_reach(step)
        if layer.reduce_range:
            reach = keras.ops.maximum(
                _reach_beside_neighbours(layer, _numpy(x)), layer.bias_floor(step)
            )
        layer.reach.assign(reach)
    sums = layer(x, step)
    if not correct_biases:
        return sums
    axes = tuple(range(len(sums.shape) - 1))
    error = keras.ops.mean(exact - sums, axis=axes)
    before = layer.quantized_bias(step)
    layer.bias.assign(layer.bias + error)
    return sums + (layer.quantized_bias(step) - before)


def _reach_beside_neighbours(layer: QuantizedKernel, x: Array) -> Array:
    """The reach at which rounding, and what neighbours give up, cost least for inputs like `x`."""
    kernel = _numpy(layer.kernel)
    rows = kernel.reshape(-1, kernel.shape[-1])
    groups = getattr(layer, "groups", 1)
    power = x.reshape(-1, x.shape[-1]).var(0).reshape(groups, -1)
    taps, outputs = len(rows) // power.shape[1], rows.shape[1] // groups
    power = np.tile(power, (1, taps)).repeat(outputs, 0).T
    shared = not layer.PER_CHANNEL
    return rounding.best_reach(power, rows, rounding.WIDENING, in_pairs=True, shared=shared)


def _round(layer: QuantizedKernel, x: Array, y: Array) -> None:
    """Round the kernel of `layer` so that `x`, rounded inputs, makes `y`, exact outputs."""
    windows = patches(layer, x)
    y = y.reshape(-1, y.shape[-1])
    windows, y = spread(windows, POSITIONS), spread(y, POSITIONS)
    kernel = _numpy(layer.kernel).astype(np.float64)
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    groups = kernel.shape[2] if depthwise else getattr(layer, "groups", 1)
    flat = kernel.reshape(-1, y.shape[-1])
    outputs = y.shape[-1] // groups
    inputs = windows.shape[-1] // groups
    rounded, reach = np.empty_like(flat), np.empty(y.shape[-1])
    parts = np.concatenate([rounding.CLIPPING, rounding.WIDENING if layer.reduce_range else []])
    shared = not layer.PER_CHANNEL
    for group in range(groups):
        own = slice(group * outputs, (group + 1) * outputs)
        part = np.ascontiguousarray(windows[:, :, group * inputs : (group + 1) * inputs])
        moment, cross = _moments(part.reshape(len(part), -1), y[:, own])
        fitted = rounding.fit(moment, cross, flat[:, own])
        power = np.diag(moment)[:, np.newaxis]
        reach[own] = rounding.best_reach(power, fitted, parts, layer.reduce_range, shared)
        rounded[:, own] = rounding.adaptive_rounding(moment, fitted, reach[own], layer.reduce_range)
    layer.kernel.assign(rounded.reshape(kernel.shape))
    layer.reach.assign(reach[0] if shared else reach)


def _moments(x: Array, y: Array) -> tuple[Array, Array]:
    """Means of x x^T and of x y^T, without the means of x and y."""
    x = x - x.mean(0)
    y = y - y.mean(0)
    return (x.T @ x).astype(np.float64) / len(x), (x.T @ y).astype(np.float64) / len(x)


def _numpy(tensor: Any) -> Array:
    return np.asarray(keras.ops.convert_to_numpy(tensor))
