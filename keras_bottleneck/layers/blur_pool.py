"""`BlurPool`: sub-sampling behind a low-pass filter."""

from typing import Any, Unpack

import keras

from keras_bottleneck import checks
from keras_bottleneck.layers.arguments import LayerArguments
from keras_bottleneck.layers.block import Block, Shape, build_chain


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class BlurPool(Block):
    """Every `stride`-th pixel of the image behind a 3x3 binomial filter, (1, 2, 1) each way.

    The filter is two 2x2 average pools, one after the other: stock operators without weights,
    which every runtime has in int8 as well. Beyond the border are zeros.

    Args:
        stride: Spatial stride.

    Input shape: `(batch, height, width, channels)`.
    Output shape: `(batch, ceil(height / stride), ceil(width / stride), channels)`.

    Raises:
        ValueError: If `stride` is no positive integer.

    Source: Zhang 2019, "Making convolutional networks shift-invariant again", Tri-3.

    Example:
        >>> BlurPool(2)(keras.Input((57, 56, 64))).shape
        (None, 29, 28, 64)
    """

    def __init__(self, stride: int = 2, **kwargs: Unpack[LayerArguments]) -> None:
        super().__init__(**kwargs)
        self.stride = checks.integer("stride", stride)
        self.pad = keras.layers.ZeroPadding2D(1, **self.named("pad"))
        self.blur = keras.layers.AveragePooling2D(2, 1, **self.named("blur"))
        self.sample = keras.layers.AveragePooling2D(2, self.stride, **self.named("sample"))

    def build(self, input_shape: Shape) -> None:
        """Build the pad and the pools."""
        build_chain([self.pad, self.blur, self.sample], input_shape)

    def call(self, x: Any) -> Any:
        """Blur and sample `x`."""
        return self.sample(self.blur(self.pad(x)))

    def compute_output_shape(self, input_shape: Shape) -> tuple[int | None, ...]:
        """The output's shape for an input of `input_shape`."""
        batch, height, width, channels = input_shape
        sizes = [None if size is None else -(-size // self.stride) for size in (height, width)]
        return (batch, *sizes, channels)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "stride": self.stride}
