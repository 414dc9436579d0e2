"""Batch norm, and what else scales channels, folded into the layer before it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np

from keras_bottleneck import keras_private
from keras_bottleneck.graph.flatten import flatten
from keras_bottleneck.graph.rebuild import Copies, Make, copied, rebuild
from keras_bottleneck.graph.reparameterize import merge_parallel
from keras_bottleneck.graph.wiring import Wiring, plainly_linear
from keras_bottleneck.keras_private import Call
from keras_bottleneck.layers import BatchNormalization, DropPath

Array = np.ndarray[Any, Any]


def _last_axis(kernels: list[Array], scale: Array) -> list[Array]:
    """Kernels whose last axis counts the outputs; of several, only the last one is scaled."""
    return [*kernels[:-1], kernels[-1] * scale]


def _depthwise(kernels: list[Array], scale: Array) -> list[Array]:
    """(height, width, channels, multiplier): output `c * multiplier + m` is kernel [:, :, c, m]."""
    return [kernels[0] * scale.reshape(kernels[0].shape[-2:])]


def _transposed(kernels: list[Array], scale: Array) -> list[Array]:
    """(height, width, outputs, inputs)."""
    return [kernels[0] * scale[:, np.newaxis]]


# Not their subclasses: what a user's own batch norm computes is not known here.
NORMS = (keras.layers.BatchNormalization, BatchNormalization)

# How each kind of layer takes a scale of its outputs into its kernels.
SCALE: dict[type, Callable[[list[Array], Array], list[Array]]] = {
    keras.layers.Conv1D: _last_axis,
    keras.layers.Conv2D: _last_axis,
    keras.layers.Conv3D: _last_axis,
    keras.layers.SeparableConv1D: _last_axis,
    keras.layers.SeparableConv2D: _last_axis,
    keras.layers.DepthwiseConv1D: _depthwise,
    keras.layers.DepthwiseConv2D: _depthwise,
    keras.layers.Conv1DTranspose: _transposed,
    keras.layers.Conv2DTranspose: _transposed,
    keras.layers.Conv3DTranspose: _transposed,
    keras.layers.Dense: _last_axis,
}


def fold(model: keras.Model) -> keras.Model:
    """An inference copy of `model` without batch norm: each is folded into the layer before it.

    The model is flattened first. A batch norm or `Rescaling` after a convolution, depthwise
    convolution or dense layer disappears into its kernel and bias; on images, a batch norm without
    such a layer becomes a 1x1 `DepthwiseConv2D`. Parallel convolutions of the same tensor whose
    outputs are summed, as in `AsymmetricConv2D` and `RepVGGBlock`, become one. `DropPath` goes.
    What remains are stock Keras layers alone, so that the folded model's .keras file opens where
    this package is not installed; only decoders for images of unknown size keep their `CropLike`.

    Args:
        model: A functional or built `Sequential` model; it stays untouched.

    Returns:
        A functional model with the same name, inputs and outputs. It computes what `model`
        computes at inference, up to rounding.

    Raises:
        ValueError: If `model` is subclassed or has no input shape yet.

    Source: Jacob et al. 2018, section 3.2; Ding et al. 2021, "RepVGG", section 3.3.

    Example:
        >>> from keras_bottleneck.models import ResNet18
        >>> folded = fold(ResNet18(classes=10))
        >>> any("bn" in layer.name for layer in folded.layers)
        False
    """
    flat = flatten(model)
    return merge_parallel(rebuild(flat, _Folder(flat).visit))


class _Folder:
    """Decides, from the whole graph, which batch norm goes where; then replays the calls."""

    def __init__(self, model: keras.Model) -> None:
        self.copies = Copies()
        self.norm_after: dict[int, keras.layers.Layer] = {}
        self.absorbed: set[int] = set()
        wiring = Wiring(model)
        for calls in wiring.calls_of.values():
            if _takes_scale(calls[0].operation):
                readers = [wiring.only_reader(call.outputs[0]) for call in calls]
                self._plan(calls[0].operation, readers)

    def _plan(self, layer: keras.layers.Layer, readers: list[Call | None]) -> None:
        """Fold into `layer` what alone reads all that it makes, if that scales channels."""
        calls = [call for call in readers if call is not None and _scales_channels(call)]
        if len(calls) == len(readers) and len({id(call.operation) for call in calls}) == 1:
            self.norm_after[id(layer)] = calls[0].operation
            self.absorbed.update(id(call.outputs[0]) for call in calls)

    def visit(self, call: Call, args: Any, kwargs: Any) -> Any:
        layer = call.operation
        if isinstance(layer, DropPath) or id(call.outputs[0]) in self.absorbed:
            return keras_private.tensors_in(args, kwargs)[0]
        make: Make = copied
        if id(layer) in self.norm_after:
            make = partial(_folded, norm=self.norm_after[id(layer)])
        elif _is_channel_norm(call) and len(call.inputs[0].shape) == 4:
            # Only the images: a convolution knows no mask.
            args, kwargs = keras_private.tensors_in(args, kwargs)[:1], {}
            make = _as_depthwise
        elif type(layer) in NORMS:
            make = _as_stock
        return self.copies.call(layer, args, kwargs, make)


def _is_channel_norm(call: Call) -> bool:
    """Whether `call` is batch norm over the last axis, plain enough to be a scale and a shift."""
    layer = call.operation
    rank = len(call.inputs[0].shape)
    return type(layer) in NORMS and layer.axis in (-1, rank - 1)


def _scales_channels(call: Call) -> bool:
    """Whether `call` is a scale and a shift of each channel."""
    return _is_channel_norm(call) or type(call.operation) is keras.layers.Rescaling


def _takes_scale(layer: Any) -> bool:
    return type(layer) in SCALE and plainly_linear(layer)


def _scale_and_shift(norm: keras.layers.BatchNormalization) -> tuple[Array, Array]:
    """Inference batch norm as `x * scale + shift`, in double precision."""

    def value(variable: Any, default: float) -> Array:
        if variable is None:
            return np.full(norm.moving_mean.shape, default)
        return keras.ops.convert_to_numpy(variable).astype(np.float64)

    scale = value(norm.gamma, 1.0) / np.sqrt(value(norm.moving_variance, 1.0) + norm.epsilon)
    return scale, value(norm.beta, 0.0) - value(norm.moving_mean, 0.0) * scale


def _folded(layer: Any, args: Any, kwargs: Any, norm: Any) -> tuple[Any, Any]:
    weights = [weight.astype(np.float64) for weight in layer.get_weights()]
    kernels, bias = (weights[:-1], weights[-1]) if layer.use_bias else (weights, 0.0)
    copy = type(layer).from_config({**layer.get_config(), "use_bias": True})
    outputs = copy(*args, **kwargs)
    if isinstance(norm, keras.layers.Rescaling):
        scale, shift = (np.resize(one, outputs.shape[-1]) for one in (norm.scale, norm.offset))
    else:
        scale, shift = _scale_and_shift(norm)
    copy.set_weights([*SCALE[type(layer)](kernels, scale), bias * scale + shift])
    return copy, outputs


def _as_depthwise(norm: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
    scale, shift = _scale_and_shift(norm)
    copy = keras.layers.DepthwiseConv2D(1, name=norm.name, dtype=norm.dtype_policy)
    outputs = copy(*args, **kwargs)
    copy.set_weights([scale.reshape(1, 1, -1, 1), shift])
    return copy, outputs


def _as_stock(norm: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
    copy = keras.layers.BatchNormalization.from_config(norm.get_config())
    outputs = copy(*args, **kwargs)
    copy.set_weights(norm.get_weights())
    return copy, outputs
