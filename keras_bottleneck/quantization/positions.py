"""`Positions`: an image of one column as the row of positions that it represents."""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class Positions(keras.layers.Layer):
    """Takes the width of images of one column away.

    Behind a 1x1 convolution that represents a dense layer on (batch, positions, channels).

    Input shape: (batch, positions, 1, channels).
    Output shape: (batch, positions, channels).

    Example:
        >>> Positions()(keras.ops.zeros((2, 5, 1, 3))).shape
        TensorShape([2, 5, 3])
    """

    # What looks for a model's last layer looks further.
    passes_values_on = True

    def call(self, x: Any) -> Any:
        """`x` without its third axis."""
        return keras.ops.squeeze(x, 2)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """(batch, positions, channels)."""
        batch, positions, _, channels = input_shape
        return batch, positions, channels
