"""`Boundary`, the place where a quantized network passes into float or out of it."""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class Boundary(keras.layers.Layer):
    """Gives its input back; in files, what is between two of these computes in float.

    Input shape: any.
    Output shape: that of the input.

    Example:
        >>> float(Boundary()(keras.ops.ones(())))
        1.0
    """

    def call(self, x: Any) -> Any:
        """`x` as it is."""
        return x

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the input."""
        return input_shape
