"""`CropLike`: one feature map cut to the size of another, also where sizes are not known."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_bottleneck.layers.block import Shape


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class CropLike(keras.layers.Layer):
    """Cuts rows at the bottom and columns at the right, so that `x` is as large as `like`.

    A feature map of 7 rows becomes one of 4 at half the resolution, which up-sampling makes one
    of 8: one too many to be added to the first. `keras.layers.Cropping2D` takes it away where
    the size is known when the network is built; this layer does so for images of any size.

    Input: `[x, like]`, each `(batch, height, width, channels)`; `x` no smaller than `like`.
    Output shape: the batch and the channels of `x`, the height and width of `like`.

    Example:
        >>> coarse, fine = keras.Input((None, None, 8)), keras.Input((7, None, 4))
        >>> CropLike()([coarse, fine]).shape
        (None, 7, None, 8)
    """

    def call(self, inputs: Sequence[Any]) -> Any:
        """Cut the first of two feature maps to the size of the second."""
        x, like = inputs
        height, width = keras.ops.shape(like)[1:3]
        # What fits stays untouched, so that exported files have no operator for it.
        return x if tuple(x.shape[1:3]) == (height, width) else x[:, :height, :width]

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> tuple[int | None, ...]:
        """The output's shape for inputs of `input_shape`."""
        (batch, _, _, channels), (_, height, width, _) = input_shape
        return (batch, height, width, channels)
