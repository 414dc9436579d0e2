"""A network in the operators that int8 runtimes have: one each layer, nothing left to fold."""

from collections.abc import Callable
from typing import Any, ClassVar

import keras
import numpy as np

from keras_bottleneck import graph, keras_private
from keras_bottleneck.graph.flatten import opened
from keras_bottleneck.graph.rebuild import (
    Copies,
    TensorMap,
    copied,
    inputs_like,
    rebuild,
    unused_name,
)
from keras_bottleneck.graph.twins import without_twins
from keras_bottleneck.keras_private import Call
from keras_bottleneck.quantization.positions import Positions

Array = np.ndarray[Any, Any]
# A layer or chain of layers, and what it makes of its arguments.
Made = tuple[Callable[..., Any], Any]

# Layers, and the names of bare operations with a constant, which have no public classes.
AFFINE = (
    *(keras.layers.Rescaling, keras.layers.Normalization),
    *("Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Negative"),
)
PROBE = 128.0

# What bare operations are as layers: they have no public classes, only names.
MERGING = {
    "Add": keras.layers.Add,
    "Subtract": keras.layers.Subtract,
    "Multiply": keras.layers.Multiply,
    "Maximum": keras.layers.Maximum,
    "Minimum": keras.layers.Minimum,
}
ACTIVATIONS = {
    "Relu": "relu",
    "Relu6": "relu6",
    "Sigmoid": "sigmoid",
    "Silu": "silu",
    "HardSigmoid": "hard_sigmoid",
    "HardSilu": "hard_silu",
    "Tanh": "tanh",
    "HardTanh": "hard_tanh",
    "Exp": "exponential",
}
# Functions that are layers of their own, with their arguments.
LAYERS: dict[Any, tuple[type, tuple[float, ...]]] = {
    keras.activations.relu: (keras.layers.ReLU, ()),
    keras.activations.relu6: (keras.layers.ReLU, (6.0,)),
    keras.activations.softmax: (keras.layers.Softmax, ()),
    keras.activations.leaky_relu: (keras.layers.LeakyReLU, (0.2,)),
}


def _over_pixels(kind: type) -> Callable[[Any, Any], Any]:
    """The layer that reduces height and width, where a bare operation does that."""

    def choose(operation: Any, x: Any) -> Any:
        axes = operation.axis if isinstance(operation.axis, (tuple, list)) else ()
        pixels = len(x.shape) == 4 and sorted(axis % 4 for axis in axes) == [1, 2]
        return (kind, {"keepdims": operation.keepdims}) if pixels else None

    return choose


def _on_axis(kind: type) -> Callable[[Any, Any], Any]:
    return lambda operation, x: (kind, {"axis": operation.axis})


def _clip(operation: Any, x: Any) -> Any:
    limits = operation.x_min, operation.x_max
    if not all(isinstance(limit, (int, float)) for limit in limits):
        return None
    return {
        (0, 6): (keras.layers.ReLU, {"max_value": 6.0}),
        (-1, 1): (keras.layers.Activation, {"activation": "hard_tanh"}),
    }.get(limits)


# Of a bare operation and its input: the layer that does the same, with its arguments, or None.
OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "Softmax": _on_axis(keras.layers.Softmax),
    "Concatenate": _on_axis(keras.layers.Concatenate),
    "LeakyRelu": lambda operation, x: (
        keras.layers.LeakyReLU,
        {"negative_slope": operation.negative_slope},
    ),
    "Clip": _clip,
    "Mean": _over_pixels(keras.layers.GlobalAveragePooling2D),
    "Max": _over_pixels(keras.layers.GlobalMaxPooling2D),
    "Amax": _over_pixels(keras.layers.GlobalMaxPooling2D),
}


def primitive(model: keras.Model) -> keras.Model:
    """A folded copy of `model` with one operator each layer.

    Layers of other packages that are made of Keras layers are inlined (see `opened`). Activations
    leave their layers; separable convolutions become two; dense layers on many
    positions become 1x1 convolutions; swish becomes sigmoid and
    product; Rescaling, Normalization and arithmetic with constants become 1x1 depthwise
    convolutions, several in a row a single one; every kernel has a bias. What has no such form
    is copied as it is.

    Raises:
        ValueError: If `model` is subclassed or has no input shape yet.
    """
    folded = graph.fold(opened(model))
    # Float, whatever they were: pixels become integers again in the first quantizer.
    inputs = inputs_like(folded, dtype="float32")
    return without_twins(rebuild(folded, _Primitives(folded).visit, inputs))


class _Primitives:
    """Replays calls as primitive ones, and remembers which tensors are affine in which others."""

    def __init__(self, model: keras.Model) -> None:
        self.copies = Copies()
        # Of a tensor that a 1x1 depthwise convolution made: its input, scale and shift.
        self.affine = TensorMap()
        self.originals = {call.operation.name for call in keras_private.calls(model)}
        self.originals.update(tensor.name for tensor in model.inputs)
        self.used: set[str] = set()

    def visit(self, call: Call, args: Any, kwargs: Any) -> Any:
        operation = call.operation
        if not args:
            args, kwargs = tuple(kwargs.values())[:1], dict(tuple(kwargs.items())[1:])
        tensors = keras_private.tensors_in(args, kwargs)
        if len(tensors) == 1 and (affine := _scale_and_shift(operation, args, kwargs)) is not None:
            return self._affine(operation.name, tensors[0], *affine)
        return self.copies.call(operation, args, kwargs, self._made)

    def _new(self, kind: Any, name: str, *args: Any, original: str = "", **kwargs: Any) -> Any:
        """A new float32 layer called `name`, or with a number where that is taken.

        The name of an original layer is free for what takes its place alone.
        """
        unused = unused_name([name], self.used | (self.originals - {original}))
        self.used.add(unused)
        return kind(*args, name=unused, dtype="float32", **kwargs)

    def _affine(self, name: str, x: Any, scale: Array, shift: Array) -> Any:
        if x in self.affine:
            x, before, offset = self.affine[x]
            scale, shift = scale * before, scale * offset + shift
        layer = self._new(keras.layers.DepthwiseConv2D, name, 1, original=name)
        output = layer(x)
        layer.set_weights([scale.reshape(1, 1, -1, 1), shift])
        self.affine[output] = x, scale, shift
        return output

    def _made(self, operation: Any, args: Any, kwargs: Any) -> Made:
        if isinstance(operation, keras.layers.Layer):
            make = self.MAKERS.get(type(operation))
            result = (
                copied(operation, args, kwargs) if make is None else make(self, operation, args)
            )
        else:
            result = self._bare(operation, args, kwargs)
        return result

    def _bare(self, operation: Any, args: Any, kwargs: Any) -> Made:
        """A bare operation as the layer that does the same."""
        kind, name = type(operation).__name__, operation.name
        tensors = keras_private.tensors_in(args, kwargs)
        if kind in MERGING and len(tensors) == 2:
            layer = self._new(MERGING[kind], name, original=name)

            def merge(x1: Any, x2: Any) -> Any:
                return layer([x1, x2])

            return merge, merge(*tensors)
        if kind in ACTIVATIONS:
            return self._activated(ACTIVATIONS[kind], name, args, name)
        if kind == "Elu" and len(tensors[0].shape) == 4:
            return self._elu(name, tensors[0], name, operation.alpha)
        if kind == "Square" or (kind == "Power" and args[1:] == (2,)):
            layer = self._new(keras.layers.Multiply, name, original=name)
            return lambda x, *exponent: layer([x, x]), layer([tensors[0], tensors[0]])
        replacement = OPERATIONS[kind](operation, tensors[0]) if kind in OPERATIONS else None
        if replacement is not None:
            return _called(self._new(replacement[0], name, original=name, **replacement[1]), args)
        return copied(operation, args, kwargs)

    def _kernel(self, layer: Any, args: Any) -> Made:
        """A layer with a kernel, its bias and its activation, apart."""
        # Behind them come those of an activation that is a layer.
        weights = layer.get_weights()[: 1 + layer.use_bias]
        if not layer.use_bias:
            channels = layer.compute_output_shape(args[0].shape)[-1]
            weights.append(np.zeros(channels, np.float32))
        linear = _as_grouped(layer, weights)
        if linear is None:
            config = {**layer.get_config(), "activation": None, "use_bias": True}
            linear = type(layer).from_config(config)
        return self._weighted(linear, weights, layer, args)

    def _dense(self, layer: Any, args: Any) -> Made:
        """A dense layer on each pixel or position of many: a 1x1 convolution.

        That has a scale for each channel, and is all that ONNX Runtime computes in integers.
        """
        rank = len(args[0].shape)
        if rank not in (3, 4):
            return self._kernel(layer, args)
        name, trainable = layer.name, layer.trainable
        conv = self._new(
            keras.layers.Conv2D, name, layer.units, 1, original=name, trainable=trainable
        )
        kernel, *bias = layer.get_weights()[: 1 + layer.use_bias]
        weights = [kernel[None, None], *(bias or [np.zeros(layer.units, np.float32)])]
        if rank == 4:
            return self._weighted(conv, weights, layer, args)
        column = self._new(keras.layers.Reshape, f"{name}_column", (-1, 1, kernel.shape[0]))
        back = self._new(Positions, f"{name}_positions")
        dense, output = self._weighted(conv, weights, layer, (column(args[0]),))
        return lambda x: back(dense(column(x))), back(output)

    def _separable(self, layer: Any, args: Any) -> Made:
        """A separable convolution as a depthwise and a 1x1 convolution."""
        spatial, point, *bias = layer.get_weights()[: 2 + layer.use_bias]
        depthwise = self._new(
            keras.layers.DepthwiseConv2D,
            f"{layer.name}_depthwise",
            layer.kernel_size,
            layer.strides,
            layer.padding,
            layer.depth_multiplier,
            dilation_rate=layer.dilation_rate,
            trainable=layer.trainable,
        )
        depthwise(args[0])
        depthwise.set_weights([spatial, np.zeros(spatial.shape[2] * spatial.shape[3], np.float32)])
        first, middle = self._kernel(depthwise, args)
        name, trainable = layer.name, layer.trainable
        pointwise = self._new(
            keras.layers.Conv2D, name, layer.filters, 1, original=name, trainable=trainable
        )
        weights = [point, *(bias or [np.zeros(layer.filters, np.float32)])]
        second, output = self._weighted(pointwise, weights, layer, (middle,))
        return lambda x: second(first(x)), output

    def _weighted(self, linear: Any, weights: list[Array], layer: Any, args: Any) -> Made:
        """`linear` with `weights`, and the activation of `layer` as a layer of its own."""
        output = linear(*args)
        linear.set_weights(weights)
        activation, name = layer.activation, f"{layer.name}_activation"
        if activation in (None, keras.activations.linear):
            return linear, output
        if isinstance(activation, keras.layers.Layer):
            own = type(activation).from_config({**activation.get_config(), "name": name})
            if activation.weights:
                own.build(output.shape)
                own.set_weights(activation.get_weights())
            after, output = self._made(own, (output,), {})
        else:
            after, output = self._activated(activation, name, (output,))
        return lambda x: after(linear(x)), output

    def _activation(self, layer: Any, args: Any) -> Made:
        return self._activated(layer.activation, layer.name, args, layer.name)

    def _activated(self, activation: Any, name: str, args: Any, original: str = "") -> Made:
        """An activation function as the layers that runtimes compute it with."""
        function = keras.activations.get(activation)
        (x,) = args
        if function is keras.activations.linear:
            return (lambda x: x), x
        if function is keras.activations.silu:
            return self._swish(name, x, original)
        if function is keras.activations.elu and len(x.shape) == 4:
            return self._elu(name, x, original)
        if function is keras.activations.hard_sigmoid and len(x.shape) == 4:
            return self._hard_sigmoid(name, x, original)
        kind, arguments = LAYERS.get(function, (keras.layers.Activation, (function,)))
        return _called(self._new(kind, name, *arguments, original=original), args)

    def _swish(self, name: str, x: Any, original: str) -> Made:
        gate = self._new(keras.layers.Activation, f"{name}_sigmoid", "sigmoid")
        product = self._new(keras.layers.Multiply, name, original=original)

        def swish(x: Any) -> Any:
            return product([x, gate(x)])

        return swish, swish(x)

    def _hard_sigmoid(self, name: str, x: Any, original: str) -> Made:
        """relu6(x + 3) / 6, the sum and the quotient as 1x1 depthwise convolutions."""
        plus = self._new(keras.layers.DepthwiseConv2D, f"{name}_plus", 1)
        clip = self._new(keras.layers.ReLU, f"{name}_clip", 6.0)
        over = self._new(keras.layers.DepthwiseConv2D, name, 1, original=original)

        def hard_sigmoid(x: Any) -> Any:
            return over(clip(plus(x)))

        output = hard_sigmoid(x)
        channels = x.shape[-1]
        for layer, scale, shift in ((plus, 1.0, 3.0), (over, 1.0 / 6.0, 0.0)):
            layer.set_weights([np.full((1, 1, channels, 1), scale), np.full(channels, shift)])
        return hard_sigmoid, output

    def _elu(self, name: str, x: Any, original: str, alpha: float = 1.0) -> Made:
        """relu(x) + alpha (exp(min(x, 0)) - 1), the last part as a 1x1 depthwise convolution.

        The TFLite converter leaves an ELU as it is in float.
        """
        positive = self._new(keras.layers.ReLU, f"{name}_positive")
        power = self._new(keras.layers.Activation, f"{name}_exp", "exponential")
        scale = self._new(keras.layers.DepthwiseConv2D, f"{name}_negative", 1)
        total = self._new(keras.layers.Add, name, original=original)

        def elu(x: Any) -> Any:
            return total([positive(x), scale(power(keras.ops.minimum(x, 0.0)))])

        output, channels = elu(x), x.shape[-1]
        scale.set_weights([np.full((1, 1, channels, 1), alpha), np.full(channels, -alpha)])
        return elu, output

    def _elu_layer(self, layer: Any, args: Any) -> Made:
        (x,) = args
        if len(x.shape) != 4:
            return copied(layer, args, {})
        return self._elu(layer.name, x, layer.name, layer.alpha)

    def _average(self, layer: Any, args: Any) -> Made:
        """A mean of several tensors: their sum, divided by a 1x1 depthwise convolution."""
        (tensors,) = args
        if len(tensors[0].shape) != 4:
            return copied(layer, args, {})
        name, count = layer.name, len(tensors)
        steps = [self._new(keras.layers.Add, f"{name}_sum") for _ in tensors[1:]]
        over = self._new(keras.layers.DepthwiseConv2D, name, 1, original=name)

        def average(tensors: Any) -> Any:
            total = tensors[0]
            for step, other in zip(steps, tensors[1:], strict=True):
                total = step([total, other])
            return over(total)

        output = average(tensors)
        channels = output.shape[-1]
        over.set_weights([np.full((1, 1, channels, 1), 1 / count), np.zeros(channels)])
        return average, output

    def _merged(self, layer: Any, args: Any) -> Made:
        """A sum or product of many, two at a time."""
        (tensors,) = args
        if len(tensors) == 2:
            return copied(layer, args, {})
        name = layer.name
        steps = [self._new(type(layer), name, original=name) for _ in tensors[1:]]

        def merge(tensors: Any) -> Any:
            merged = tensors[0]
            for step, other in zip(steps, tensors[1:], strict=True):
                merged = step([merged, other])
            return merged

        return merge, merge(tensors)

    def _relu(self, layer: Any, args: Any) -> Made:
        """`keras.layers.ReLU` with a slope is a leaky one."""
        if layer.max_value is not None or layer.threshold != 0 or not layer.negative_slope:
            return copied(layer, args, {})
        name, slope = layer.name, layer.negative_slope
        return _called(self._new(keras.layers.LeakyReLU, name, slope, original=name), args)

    MAKERS: ClassVar[dict[type, Callable[[Any, Any, Any], Made]]] = {
        keras.layers.Conv2D: _kernel,
        keras.layers.DepthwiseConv2D: _kernel,
        keras.layers.Conv2DTranspose: _kernel,
        keras.layers.Dense: _dense,
        keras.layers.SeparableConv2D: _separable,
        keras.layers.Activation: _activation,
        keras.layers.ReLU: _relu,
        keras.layers.Add: _merged,
        keras.layers.Multiply: _merged,
        keras.layers.Maximum: _merged,
        keras.layers.Minimum: _merged,
        keras.layers.Average: _average,
        keras.layers.ELU: _elu_layer,
    }


def _scale_and_shift(operation: Any, args: Any, kwargs: Any) -> tuple[Array, Array] | None:
    """The scale and shift of each channel, (channels,), if that is all that `operation` does.

    It is asked rather than read: it is run on three constant images of one pixel.
    """
    layer = isinstance(operation, keras.layers.Layer)
    kind: Any = type(operation) if layer else type(operation).__name__
    if kind not in AFFINE:
        return None
    x = keras_private.tensors_in(args, kwargs)[0]
    if len(x.shape) != 4 or x.shape[-1] is None:
        return None

    def run(value: float) -> Array:
        pixel = keras.ops.full((1, 1, 1, x.shape[-1]), value)
        filled = keras.tree.map_structure(
            lambda value: pixel if isinstance(value, keras.KerasTensor) else value, (args, kwargs)
        )
        output = operation(*filled[0], **filled[1])
        return np.asarray(keras.ops.convert_to_numpy(output), np.float64)

    zero, half, full = run(0.0), run(PROBE / 2), run(PROBE)
    straight = np.allclose(full - half, half - zero, rtol=1e-4, atol=1e-6)
    if full.shape != (1, 1, 1, x.shape[-1]) or not np.isfinite(full - zero).all() or not straight:
        return None
    return ((full - zero) / PROBE).reshape(-1), zero.reshape(-1)


def _called(layer: Any, args: Any) -> Made:
    return layer, layer(*args)


def _as_grouped(layer: Any, weights: list[Array]) -> Any:
    """A depthwise convolution with several outputs per channel, as a grouped one; else None.

    The converter wants one scale for each output of a kernel along its last axis.
    """
    if type(layer) is not keras.layers.DepthwiseConv2D or layer.depth_multiplier == 1:
        return None
    height, width, channels, multiplier = weights[0].shape
    weights[0] = weights[0].reshape(height, width, 1, channels * multiplier)
    shared = ("name", "kernel_size", "strides", "padding", "dilation_rate", "dtype", "trainable")
    kept = {key: layer.get_config()[key] for key in shared}
    return keras.layers.Conv2D(channels * multiplier, groups=channels, **kept)
