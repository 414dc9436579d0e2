"""How many multiply-accumulates each kind of layer does: one row each."""

import math
from collections.abc import Callable
from typing import Any

import keras

from keras_bottleneck.quantization.quantizers import FakeQuantize

# (height, width, channels) and the like: no batch axis.
Shape = tuple[int, ...]
# Layer, input and output shape -> multiply-accumulates for one sample.
Macs = Callable[[Any, Shape, Shape], int]


def _places(layer: Any, shape: Shape) -> int:
    """How many positions the kernel of `layer` takes in a tensor of `shape`."""
    channels_first = getattr(layer, "data_format", None) == "channels_first"
    return math.prod(shape[1:] if channels_first else shape[:-1])


def _at_each_output(layer: Any, inputs: Shape, outputs: Shape) -> int:
    """The whole kernel once at each position of the output, groups and dilation included.

    A grouped kernel is smaller by the number of groups. Products with padding zeros count.
    """
    return _places(layer, outputs) * math.prod(layer.kernel.shape)


def _at_each_input(layer: Any, inputs: Shape, outputs: Shape) -> int:
    """The whole kernel once at each position of the input, as transposed convolutions do."""
    return _places(layer, inputs) * math.prod(layer.kernel.shape)


def _separable(layer: Any, inputs: Shape, outputs: Shape) -> int:
    """A depthwise convolution that carries the stride, then a 1x1 convolution."""
    kernels = (layer.depthwise_kernel, layer.pointwise_kernel)
    return _places(layer, outputs) * sum(math.prod(kernel.shape) for kernel in kernels)


def _dense(layer: Any, inputs: Shape, outputs: Shape) -> int:
    return math.prod(outputs) * inputs[-1]


def _none(layer: Any, inputs: Shape, outputs: Shape) -> int:
    """Scales, shifts and look-ups have weights, but nothing is accumulated."""
    return 0


# A new kind of layer is one row; a subclass is counted as the nearest of its bases.
MACS: dict[type, Macs] = {
    keras.layers.Conv1D: _at_each_output,
    keras.layers.Conv2D: _at_each_output,
    keras.layers.Conv3D: _at_each_output,
    keras.layers.DepthwiseConv1D: _at_each_output,
    keras.layers.DepthwiseConv2D: _at_each_output,
    keras.layers.SeparableConv1D: _separable,
    keras.layers.SeparableConv2D: _separable,
    keras.layers.Conv1DTranspose: _at_each_input,
    keras.layers.Conv2DTranspose: _at_each_input,
    keras.layers.Conv3DTranspose: _at_each_input,
    keras.layers.Dense: _dense,
    keras.layers.BatchNormalization: _none,
    keras.layers.Embedding: _none,
    keras.layers.GroupNormalization: _none,
    keras.layers.LayerNormalization: _none,
    keras.layers.Normalization: _none,
    keras.layers.PReLU: _none,
    keras.layers.RMSNormalization: _none,
    FakeQuantize: _none,
}

# Layers without weights and bare operations, which have no public classes, that multiply all
# the same.
MULTIPLYING = frozenset(
    ("AdditiveAttention", "Attention", "Conv", "ConvTranspose", "DepthwiseConv", "Dot")
    + ("DotProductAttention", "Einsum", "Inner", "Matmul", "SeparableConv", "Tensordot", "Vdot")
)


def macs(operation: Any, inputs: Shape, outputs: Shape) -> int | None:
    """The multiply-accumulates of one call for one sample.

    Args:
        operation: A layer or bare operation.
        inputs: The shape of its first input, without the batch.
        outputs: The shape of its first output, without the batch.

    Returns:
        Their number; 0 for what only adds, compares or moves values; None where the operation
        multiplies and `MACS` has no row for it.
    """
    count = next((MACS[kind] for kind in type(operation).__mro__ if kind in MACS), None)
    if count is not None:
        return count(operation, inputs, outputs)
    multiplies = type(operation).__name__ in MULTIPLYING or getattr(operation, "weights", None)
    return None if multiplies else 0
