"""Grouped convolution as one plain TensorFlow operator."""

from typing import Any

import keras

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

        return tf.nn.conv2d(
            inputs,
            kernel,
            strides=self.strides,
            padding=self.padding.upper(),
            dilations=self.dilation_rate,
        )


class GroupedConv2D(PlainGroups, keras.layers.Conv2D):
    """`keras.layers.Conv2D(groups=...)` for export."""


class GroupedQuantizedConv2D(PlainGroups, QuantizedConv2D):
    """`QuantizedConv2D(groups=...)` for export."""


PLAIN: dict[type, type[keras.layers.Conv2D]] = {
    keras.layers.Conv2D: GroupedConv2D,
    QuantizedConv2D: GroupedQuantizedConv2D,
}
