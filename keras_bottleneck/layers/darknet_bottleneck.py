"""Darknet's bottleneck: 1x1, 3x3, and the input where it fits."""

from typing import Any

import keras

from keras_bottleneck import checks
from keras_bottleneck.layers import activation as activations
from keras_bottleneck.layers.conv_norm_act import ConvNormAct
from keras_bottleneck.layers.residual_block import ResidualBlock


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class DarknetBottleneck(ResidualBlock):
    """1x1 reduce, 3x3, added to the input (Redmon and Farhadi 2018, "YOLOv3", table 1).

    Both convolutions end with the activation, the sum does not. The input is added only where it
    has the output's shape: stride 1 and equal channels.

    Args:
        filters: Output channels.
        stride: Stride of the 3x3 convolution.
        expansion: Channels between the convolutions, as a part of `filters`.
        groups: Groups of the 3x3 convolution.
        activation: After each convolution.
        shortcut: `"identity"`, or `"none"` to add nothing anywhere.
        **kwargs: The other arguments of `ResidualBlock` (`conv`, `padding`, `drop_path`,
            `se_ratio`, `epsilon`, `momentum`) and of `keras.layers.Layer` (`name`, `dtype`).

    Input shape: `(batch, height, width, channels)`.
    Output shape: `(batch, ceil(height / stride), ceil(width / stride), filters)`.

    Raises:
        ValueError: As `ResidualBlock`, and for `zero_init_residual`.

    Source: `Bottleneck` of ultralytics/yolov5, `DarknetBottleneck` of mmdetection.

    Example:
        >>> DarknetBottleneck(64)(keras.Input((56, 56, 64))).shape
        (None, 56, 56, 64)
    """

    def __init__(
        self,
        filters: int,
        stride: int = 1,
        expansion: float = 0.5,
        groups: int = 1,
        activation: activations.Activation = "silu",
        shortcut: str = "identity",
        **kwargs: Any,
    ) -> None:
        checks.one_of("shortcut", shortcut, ("identity", "none"))
        super().__init__(stride=stride, shortcut=shortcut, activation=activation, **kwargs)
        if self.zero_init_residual:
            # A ReLU of zeros would never learn.
            accepted = "False where an activation ends the branch"
            raise checks.reject("zero_init_residual", True, accepted)
        self.filters = checks.integer("filters", filters)
        self.expansion = checks.number("expansion", expansion, above=True)
        self.groups = checks.integer("groups", groups)

    def out_channels(self, channels: int) -> int:
        """`filters`, whatever enters."""
        return self.filters

    def shortcut_kind(self, channels: int) -> str:
        """The one asked for where the shapes are equal, else "none"."""
        return self.shortcut if self.stride == 1 and channels == self.filters else "none"

    def make_branch(self, channels: int) -> tuple[ConvNormAct, ...]:
        """The two convolutions."""
        width = int(self.filters * self.expansion)
        if width == 0:
            raise checks.reject("expansion", self.expansion, "large enough for one channel")
        self.reduce = self.conv_norm_act("reduce", width, 1)
        self.spatial = self.conv_norm_act(
            "spatial", self.filters, 3, self.stride, self.groups, dilation=self.first_dilation
        )
        return self.reduce, self.spatial

    def branch(self, x: Any) -> Any:
        """Apply both convolutions."""
        x = self.reduce(x)  # 1x1, to filters * expansion
        return self.spatial(x)  # 3x3, carries the stride

    def sum_activation(self) -> None:
        """None: the branch has its own."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "expansion": self.expansion,
            "groups": self.groups,
        }
