"""1x1, 3x3, 1x1 and a shortcut: the block of ResNet-50 and deeper."""

from typing import Any

import keras

from keras_bottleneck import checks
from keras_bottleneck.layers.residual_block import ResidualBlock


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class Bottleneck(ResidualBlock):
    """1x1 reduce, 3x3, 1x1 expand, added to the shortcut (He et al. 2015, fig. 5 right).

    Args:
        filters: Channels of the 3x3 convolution, where `groups` and `base_width` are the
            defaults.
        stride: Stride of the block.
        expansion: Output channels are `filters * expansion`.
        groups: Groups of the 3x3 convolution (ResNeXt's cardinality).
        base_width: Width of a group for 64 filters: the 3x3 has
            `int(filters * base_width / 64) * groups` channels, as in torchvision.
        stride_on: `"3x3"` (v1.5: torchvision, NVIDIA) or `"1x1"` (v1: the paper,
            keras.applications), the convolution that carries the stride.
        **kwargs: The arguments of `ResidualBlock` (`shortcut`, `conv`, `padding`, `activation`,
            `drop_path`, `se_ratio`, `zero_init_residual`, `epsilon`, `momentum`, `dilation`,
            `first_dilation`, `antialias`) and of `keras.layers.Layer` (`name`, `dtype`).

    Input shape: `(batch, height, width, channels)`.
    Output shape: `(batch, ceil(height / stride), ceil(width / stride), filters * expansion)`.

    Raises:
        ValueError: As `ResidualBlock`.

    Example:
        >>> Bottleneck(64, stride=2)(keras.Input((56, 56, 256))).shape
        (None, 28, 28, 256)
    """

    expansion = 4

    def __init__(
        self,
        filters: int,
        stride: int = 1,
        expansion: int = 4,
        groups: int = 1,
        base_width: int = 64,
        stride_on: str = "3x3",
        **kwargs: Any,
    ) -> None:
        super().__init__(stride=stride, **kwargs)
        self.filters = checks.integer("filters", filters)
        self.expansion = checks.integer("expansion", expansion)
        self.groups = checks.integer("groups", groups)
        self.base_width = checks.integer("base_width", base_width)
        self.stride_on = checks.one_of("stride_on", stride_on, ("3x3", "1x1"))

    def out_channels(self, channels: int) -> int:
        """`filters * expansion`, whatever enters."""
        return self.filters * self.expansion

    def make_branch(self, channels: int) -> tuple[keras.layers.Layer, ...]:
        """The three convolutions, the last one linear."""
        width = int(self.filters * self.base_width / 64) * self.groups
        if width == 0:
            raise checks.reject("base_width", self.base_width, "large enough for one channel")
        on_3x3 = self.stride_on == "3x3"
        self.reduce = self.conv_norm_act("reduce", width, 1, 1 if on_3x3 else self.stride)
        self.spatial = self.conv_norm_act(
            "spatial",
            width,
            3,
            self.stride if on_3x3 else 1,
            groups=self.groups,
            dilation=self.first_dilation if on_3x3 else self.dilation,
        )
        self.expand = self.conv_norm_act("expand", self.out_channels(channels), 1, last=True)
        return self.reduce, self.spatial, self.expand

    def branch(self, x: Any) -> Any:
        """Apply the three convolutions."""
        x = self.reduce(x)  # 1x1, to the bottleneck's width
        x = self.spatial(x)  # 3x3, carries the stride
        return self.expand(x)  # 1x1, to filters * expansion, linear

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "expansion": self.expansion,
            "groups": self.groups,
            "base_width": self.base_width,
            "stride_on": self.stride_on,
        }
