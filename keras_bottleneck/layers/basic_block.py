"""Two 3x3 convolutions and a shortcut: the block of ResNet-18 and ResNet-34."""

from typing import Any

import keras

from keras_bottleneck import checks
from keras_bottleneck.layers.residual_block import ResidualBlock


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class BasicBlock(ResidualBlock):
    """3x3, 3x3, added to the shortcut (He et al. 2015, fig. 5 left).

    Args:
        filters: Output channels.
        stride: Stride of the first 3x3 convolution.
        **kwargs: The arguments of `ResidualBlock` (`shortcut`, `conv`, `padding`, `activation`,
            `drop_path`, `se_ratio`, `zero_init_residual`, `epsilon`, `momentum`, `dilation`,
            `first_dilation`, `antialias`) and of `keras.layers.Layer` (`name`, `dtype`).

    Input shape: `(batch, height, width, channels)`.
    Output shape: `(batch, ceil(height / stride), ceil(width / stride), filters)`.

    Raises:
        ValueError: As `ResidualBlock`.

    Example:
        >>> BasicBlock(128, stride=2)(keras.Input((56, 56, 64))).shape
        (None, 28, 28, 128)
    """

    expansion = 1

    def __init__(self, filters: int, stride: int = 1, **kwargs: Any) -> None:
        super().__init__(stride=stride, **kwargs)
        self.filters = checks.integer("filters", filters)

    def out_channels(self, channels: int) -> int:
        """`filters`, whatever enters."""
        return self.filters

    def make_branch(self, channels: int) -> tuple[keras.layers.Layer, ...]:
        """Two 3x3 convolutions, the second linear."""
        self.first = self.conv_norm_act(
            "first", self.filters, 3, self.stride, dilation=self.first_dilation
        )
        self.second = self.conv_norm_act("second", self.filters, 3, last=True)
        return self.first, self.second

    def branch(self, x: Any) -> Any:
        """Apply both convolutions."""
        x = self.first(x)  # 3x3, carries the stride
        return self.second(x)  # 3x3, linear

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "filters": self.filters}
