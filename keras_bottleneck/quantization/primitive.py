"""A network in the operators that int8 runtimes have: one each layer, nothing left to fold."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_bottleneck import graph, keras_private
from keras_bottleneck.graph.rebuild import Copies, TensorMap, copied, rebuild
from keras_bottleneck.keras_private import Call

Array = np.ndarray[Any, Any]
# A layer or chain of layers, and what it makes of its arguments.
Made = tuple[Callable[..., Any], Any]

AFFINE_LAYERS = (keras.layers.Rescaling, keras.layers.Normalization)
AFFINE_OPERATIONS = ("Add", "Subtract", "Multiply", "Divide", "TrueDivide")
PROBE = 128.0

# What bare operations are as layers: they have no public classes, only names.
MERGING = {
    "Add": keras.layers.Add,
    "Subtract": keras.layers.Subtract,
    "Multiply": keras.layers.Multiply,
}
ACTIVATIONS = {
    "Relu": "relu",
    "Relu6": "relu6",
    "Sigmoid": "sigmoid",
    "Silu": "silu",
    "HardSigmoid": "hard_sigmoid",
    "HardSilu": "hard_silu",
    "Tanh": "tanh",
}


def primitive(model: keras.Model) -> keras.Model:
    """A folded copy of `model` with one operator each layer.

    Activations leave their layers; separable convolutions become two; swish becomes sigmoid and
    product; Rescaling, Normalization and arithmetic with constants become 1x1 depthwise
    convolutions, several in a row a single one; every kernel has a bias. What has no such form
    is copied as it is.

    Raises:
        ValueError: If `model` is subclassed or has no input shape yet.
    """
    return rebuild(graph.fold(model), _Primitives().visit)


class _Primitives:
    """Replays calls as primitive ones, and remembers which tensors are affine in which others."""

    def __init__(self) -> None:
        self.copies = Copies()
        # Of a tensor that a 1x1 depthwise convolution made: its input, scale and shift.
        self.affine = TensorMap()

    def visit(self, call: Call, args: Any, kwargs: Any) -> Any:
        operation = call.operation
        tensors = keras_private.tensors_in(args, kwargs)
        if len(tensors) == 1 and (found := _scale_and_shift(operation, args, kwargs)) is not None:
            return self._affine(operation.name, tensors[0], *found)
        return self.copies.call(operation, args, kwargs, _made)

    def _affine(self, name: str, x: Any, scale: Array, shift: Array) -> Any:
        if x in self.affine:
            x, before, offset = self.affine[x]
            scale, shift = scale * before, scale * offset + shift
        layer = keras.layers.DepthwiseConv2D(1, name=name)
        output = layer(x)
        layer.set_weights([scale.reshape(1, 1, -1, 1), shift])
        self.affine[output] = x, scale, shift
        return output


def _scale_and_shift(operation: Any, args: Any, kwargs: Any) -> tuple[Array, Array] | None:
    """The scale and shift of each channel, (channels,), if that is all that `operation` does.

    It is asked rather than read: it is run on three constant images of one pixel.
    """
    named = not isinstance(operation, keras.layers.Layer)
    if not (type(operation) in AFFINE_LAYERS or (named and _kind(operation) in AFFINE_OPERATIONS)):
        return None
    x = keras_private.tensors_in(args, kwargs)[0]
    if len(x.shape) != 4 or x.shape[-1] is None:
        return None

    def run(value: float) -> Array:
        pixel = keras.ops.full((1, 1, 1, x.shape[-1]), value)
        filled = keras.tree.map_structure(
            lambda one: pixel if isinstance(one, keras.KerasTensor) else one, (args, kwargs)
        )
        made = operation(*filled[0], **filled[1])
        return np.asarray(keras.ops.convert_to_numpy(made), np.float64)

    zero, half, full = run(0.0), run(PROBE / 2), run(PROBE)
    straight = np.allclose(full - half, half - zero, rtol=1e-4, atol=1e-6)
    if full.shape != (1, 1, 1, x.shape[-1]) or not np.isfinite(full - zero).all() or not straight:
        return None
    return ((full - zero) / PROBE).reshape(-1), zero.reshape(-1)


def _kind(operation: Any) -> str:
    return type(operation).__name__


def _made(operation: Any, args: Any, kwargs: Any) -> Made:
    make = MAKERS.get(type(operation))
    if make is None and not isinstance(operation, keras.layers.Layer):
        make = _bare
    return copied(operation, args, kwargs) if make is None else make(operation, args, kwargs)


def _bare(operation: Any, args: Any, kwargs: Any) -> Made:
    """A bare operation as the layer that does the same."""
    kind = _kind(operation)
    tensors = keras_private.tensors_in(args, kwargs)
    if kind in MERGING and len(tensors) == 2:
        layer = MERGING[kind](name=operation.name)

        def merge(x1: Any, x2: Any) -> Any:
            return layer([x1, x2])

        return merge, merge(*tensors)
    if kind in ACTIVATIONS:
        return _activated(ACTIVATIONS[kind], operation.name, args)
    if kind == "Softmax":
        return _called(keras.layers.Softmax(operation.axis, name=operation.name), args)
    if kind == "Concatenate":
        return _called(keras.layers.Concatenate(operation.axis, name=operation.name), args)
    return copied(operation, args, kwargs)


def _called(layer: Any, args: Any) -> Made:
    return layer, layer(*args)


def _kernel(layer: Any, args: Any, kwargs: Any) -> Made:
    """A layer with a kernel, its bias and its activation, apart."""
    config = {**layer.get_config(), "activation": None, "use_bias": True}
    weights = layer.get_weights()
    if not layer.use_bias:
        channels = layer.compute_output_shape(args[0].shape)[-1]
        weights.append(np.zeros(channels, np.float32))
    linear = _depthwise_as_grouped(layer, config, weights)
    if linear is None:
        linear = type(layer).from_config(config)
    return _weighted(linear, weights, layer.activation, layer.name, args)


def _depthwise_as_grouped(layer: Any, config: dict[str, Any], weights: list[Array]) -> Any:
    """A depthwise convolution with several outputs per channel, as a grouped one; else None.

    The converter wants one scale for each output of a kernel along its last axis.
    """
    if type(layer) is not keras.layers.DepthwiseConv2D or layer.depth_multiplier == 1:
        return None
    height, width, channels, multiplier = weights[0].shape
    weights[0] = weights[0].reshape(height, width, 1, channels * multiplier)
    shared = ("name", "kernel_size", "strides", "padding", "dilation_rate", "dtype", "trainable")
    kept = {key: config[key] for key in shared}
    return keras.layers.Conv2D(channels * multiplier, groups=channels, **kept)


def _separable(layer: Any, args: Any, kwargs: Any) -> Made:
    """A separable convolution as a depthwise and a 1x1 convolution."""
    spatial, point, *bias = layer.get_weights()
    shared = {"dtype": layer.dtype_policy, "trainable": layer.trainable}
    depthwise = keras.layers.DepthwiseConv2D(
        layer.kernel_size,
        layer.strides,
        layer.padding,
        layer.depth_multiplier,
        dilation_rate=layer.dilation_rate,
        name=f"{layer.name}_depthwise",
        **shared,
    )
    x = args[0]
    depthwise(x)
    depthwise.set_weights([spatial, np.zeros(spatial.shape[2] * spatial.shape[3], np.float32)])
    first, middle = _kernel(depthwise, (x,), {})
    pointwise = keras.layers.Conv2D(layer.filters, 1, name=layer.name, **shared)
    weights = [point, *(bias or [np.zeros(layer.filters, np.float32)])]
    second, output = _weighted(pointwise, weights, layer.activation, layer.name, (middle,))
    return lambda x: second(first(x)), output


def _weighted(linear: Any, weights: list[Array], activation: Any, name: str, args: Any) -> Made:
    """`linear` with `weights`, and then `activation`, as a layer of its own."""
    output = linear(*args)
    linear.set_weights(weights)
    if activation in (None, keras.activations.linear):
        return linear, output
    if isinstance(activation, keras.layers.Layer):
        after, output = copied(activation, (output,), {}, name=f"{name}_activation")
    else:
        after, output = _activated(activation, f"{name}_activation", (output,))
    return lambda x: after(linear(x)), output


def _activation(layer: Any, args: Any, kwargs: Any) -> Made:
    return _activated(layer.activation, layer.name, args)


def _activated(activation: Any, name: str, args: Any) -> Made:
    """An activation function as the layers that runtimes compute it with."""
    found = keras.activations.get(activation)
    (x,) = args
    if found is keras.activations.linear:
        return (lambda x: x), x
    if found is keras.activations.relu:
        return _called(keras.layers.ReLU(name=name), args)
    if found is keras.activations.relu6:
        return _called(keras.layers.ReLU(6.0, name=name), args)
    if found is keras.activations.softmax:
        return _called(keras.layers.Softmax(name=name), args)
    if found is keras.activations.leaky_relu:
        return _called(keras.layers.LeakyReLU(0.2, name=name), args)
    if found is keras.activations.silu:
        return _swish(name, x)
    if found is keras.activations.hard_sigmoid and len(x.shape) == 4:
        return _hard_sigmoid(name, x)
    return _called(keras.layers.Activation(found, name=name), args)


def _swish(name: str, x: Any) -> Made:
    gate = keras.layers.Activation("sigmoid", name=f"{name}_sigmoid")
    product = keras.layers.Multiply(name=name)

    def swish(x: Any) -> Any:
        return product([x, gate(x)])

    return swish, swish(x)


def _hard_sigmoid(name: str, x: Any) -> Made:
    """relu6(x + 3) / 6, the sum and the quotient as 1x1 depthwise convolutions."""
    plus = keras.layers.DepthwiseConv2D(1, name=f"{name}_plus")
    clip = keras.layers.ReLU(6.0, name=f"{name}_clip")
    over = keras.layers.DepthwiseConv2D(1, name=name)

    def hard_sigmoid(x: Any) -> Any:
        return over(clip(plus(x)))

    output = hard_sigmoid(x)
    channels = x.shape[-1]
    for layer, scale, shift in ((plus, 1.0, 3.0), (over, 1.0 / 6.0, 0.0)):
        layer.set_weights([np.full((1, 1, channels, 1), scale), np.full(channels, shift)])
    return hard_sigmoid, output


def _merged(layer: Any, args: Any, kwargs: Any) -> Made:
    """A sum or product of many, two at a time."""
    (tensors,) = args
    if len(tensors) == 2:
        return copied(layer, args, kwargs)
    names = [f"{layer.name}_{number}" for number in range(1, len(tensors) - 1)] + [layer.name]
    steps = [type(layer)(name=name) for name in names]

    def merge(tensors: Any) -> Any:
        found = tensors[0]
        for step, other in zip(steps, tensors[1:], strict=True):
            found = step([found, other])
        return found

    return merge, merge(tensors)


def _relu(layer: Any, args: Any, kwargs: Any) -> Made:
    """`keras.layers.ReLU` with a slope is a leaky one."""
    if layer.max_value is None and layer.threshold == 0 and layer.negative_slope:
        return _called(keras.layers.LeakyReLU(layer.negative_slope, name=layer.name), args)
    return copied(layer, args, kwargs)


MAKERS: dict[type, Callable[[Any, Any, Any], Made]] = {
    keras.layers.Conv2D: _kernel,
    keras.layers.DepthwiseConv2D: _kernel,
    keras.layers.Conv2DTranspose: _kernel,
    keras.layers.Dense: _kernel,
    keras.layers.SeparableConv2D: _separable,
    keras.layers.Activation: _activation,
    keras.layers.ReLU: _relu,
    keras.layers.Add: _merged,
    keras.layers.Multiply: _merged,
}
