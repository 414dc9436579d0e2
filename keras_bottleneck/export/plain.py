"""Layers that are one plain TensorFlow operator, where Keras's own way does not convert."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import keras

from keras_bottleneck.quantization.boundary import Boundary
from keras_bottleneck.quantization.kernels import QuantizedConv2D


class PlainGroups:
    """Convolves for export, in place of Keras's own way.

    Keras wraps grouped convolutions in a compiled function, of which tf2onnx makes an invalid
    graph; `tf.nn.conv2d` finds the groups from the kernel's shape and converts everywhere.
    """

    strides: tuple[int, int]
    padding: str
    dilation_rate: tuple[int, int]

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """The convolution without bias and activation."""
        import tensorflow as tf

        y = tf.nn.conv2d(
            inputs,
            kernel,
            strides=self.strides,
            padding=self.padding.upper(),
            dilations=self.dilation_rate,
        )
        # Says what is so, and goes in every conversion. In a SavedModel it keeps the bias apart:
        # where TensorFlow runs without oneDNN, it cannot compute what it would fuse
        # (tensorflow#53631).
        return tf.ensure_shape(y, y.shape)


class GroupedConv2D(PlainGroups, keras.layers.Conv2D):
    """`keras.layers.Conv2D(groups=...)` for export."""


class GroupedQuantizedConv2D(PlainGroups, QuantizedConv2D):
    """`QuantizedConv2D(groups=...)` for export."""


class PlainAdd(keras.layers.Add):
    """`keras.layers.Add` for export, of inputs of one rank.

    Keras adds what looks like a bias as one, such as the feature map of a single pixel of a batch
    of one, and tf2onnx puts it into the convolution before as a second bias, which is invalid.
    """

    def call(self, inputs: Any) -> Any:
        """The sum."""
        import tensorflow as tf

        return reduce(tf.add, inputs)


class PlainUpSampling2D(keras.layers.UpSampling2D):
    """`keras.layers.UpSampling2D(interpolation="nearest")` for export, of a known size.

    Keras repeats rows and columns, which becomes five operators on five axes.
    """

    def call(self, inputs: Any) -> Any:
        """Each pixel, repeated."""
        import tensorflow as tf

        height, width = inputs.shape[1:3]
        size = (height * self.size[0], width * self.size[1])
        # Not `tf.image.resize`: its half-pixel centres, the same for whole factors, are an
        # attribute that ONNX has given up.
        return tf.raw_ops.ResizeNearestNeighbor(images=inputs, size=size)


class PlainUnitNormalization(keras.layers.UnitNormalization):
    """`keras.layers.UnitNormalization` for export.

    TFLite has an operator for it, which its converter finds in this form alone.
    """

    def call(self, inputs: Any) -> Any:
        """`inputs` at length 1."""
        import tensorflow as tf

        return tf.math.l2_normalize(inputs, self.axis)


class PlainBoundary(Boundary):
    """`Boundary` for export: the sign changed twice.

    The TFLite converter quantizes whatever stands between two quantized tensors, with scales of
    its own; it has no integer operator for the second change. Two of the same would be left out.
    """

    def call(self, x: Any) -> Any:
        """`x` as it is."""
        return -(x * -1.0)


GROUPED: dict[type, type[keras.layers.Layer]] = {
    keras.layers.Conv2D: GroupedConv2D,
    QuantizedConv2D: GroupedQuantizedConv2D,
}


def plain(operation: Any, inputs: Sequence[Any]) -> type[keras.layers.Layer] | None:
    """The class of layers to put in place of `operation`; None where it converts as it is."""
    if type(operation) in GROUPED and operation.groups > 1:
        return GROUPED[type(operation)]
    if type(operation) is keras.layers.Add and len({len(one.shape) for one in inputs}) == 1:
        return PlainAdd if any(map(_looks_like_a_bias, inputs)) else None
    if type(operation) is keras.layers.UpSampling2D:
        plainly = (operation.interpolation, operation.data_format) == ("nearest", "channels_last")
        return PlainUpSampling2D if plainly else None
    if type(operation) is keras.layers.UnitNormalization:
        return PlainUnitNormalization
    if type(operation) is Boundary:
        return PlainBoundary
    return None


def _looks_like_a_bias(tensor: Any) -> bool:
    return sum(side != 1 for side in tensor.shape) == 1
