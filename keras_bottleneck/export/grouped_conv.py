"""Grouped convolution as one plain TensorFlow operator."""

from typing import Any

import keras


class GroupedConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D(groups=...)` for export.

    Keras wraps grouped convolutions in a compiled function, of which tf2onnx makes an invalid
    graph; `tf.nn.conv2d` finds the groups from the kernel's shape and converts everywhere.
    """

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
