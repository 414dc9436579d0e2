"""MobileNetV2's block: wide inside, narrow and linear at its ends."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_bottleneck import checks
from keras_bottleneck.layers import activation as activations
from keras_bottleneck.layers.conv_norm_act import ConvNormAct
from keras_bottleneck.layers.residual_block import ResidualBlock
from keras_bottleneck.layers.squeeze_excite import SqueezeExcite


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class InvertedResidual(ResidualBlock):
    """1x1 expand, 3x3 depthwise, 1x1 linear project (Sandler et al. 2018, fig. 3b and table 1).

    The input is added only where it has the output's shape: stride 1 and equal channels.

    Args:
        filters: Output channels.
        stride: Stride of the depthwise convolution.
        expansion: The depthwise convolution sees `channels * expansion` channels; with 1 there
            is no expanding convolution.
        kernel_size: Side of the depthwise kernel, an odd number.
        padding: `"same"` (TensorFlow's, keras.applications) or `"symmetric"` (torchvision).
        activation: After the expanding and the depthwise convolution.
        shortcut: `"identity"`, or `"none"` to add nothing anywhere.
        **kwargs: The other arguments of `ResidualBlock` (`drop_path`, `se_ratio`, which here
            follows the depthwise convolution, `zero_init_residual`, `epsilon`, `momentum`) and
            of `keras.layers.Layer` (`name`, `dtype`).

    Input shape: `(batch, height, width, channels)`.
    Output shape: `(batch, ceil(height / stride), ceil(width / stride), filters)`.

    Raises:
        ValueError: As `ResidualBlock`.

    Example:
        >>> InvertedResidual(32, stride=2)(keras.Input((56, 56, 24))).shape
        (None, 28, 28, 32)
    """

    squeeze_after_branch = False

    def __init__(
        self,
        filters: int,
        stride: int = 1,
        expansion: int = 6,
        kernel_size: int = 3,
        padding: str = "same",
        activation: activations.Activation = "relu6",
        shortcut: str = "identity",
        **kwargs: Any,
    ) -> None:
        checks.one_of("shortcut", shortcut, ("identity", "none"))
        super().__init__(
            stride=stride, shortcut=shortcut, padding=padding, activation=activation, **kwargs
        )
        if self.conv != "standard":
            raise checks.reject("conv", self.conv, "'standard' where the k x k is depthwise")
        self.filters = checks.integer("filters", filters)
        self.expansion = checks.integer("expansion", expansion)
        self.kernel_size = checks.integer("kernel_size", kernel_size)
        if self.kernel_size % 2 == 0:
            raise checks.reject("kernel_size", kernel_size, "an odd integer")
        self.expand: ConvNormAct | None = None
        self.squeeze_excite: SqueezeExcite | None = None

    def out_channels(self, channels: int) -> int:
        """`filters`, whatever enters."""
        return self.filters

    def shortcut_kind(self, channels: int) -> str:
        """The one asked for where the shapes are equal, else "none"."""
        return self.shortcut if self.stride == 1 and channels == self.filters else "none"

    def make_branch(self, channels: int) -> Sequence[keras.layers.Layer]:
        """Expand, depthwise and project, with squeeze-excite before the projection."""
        width = channels * self.expansion
        if self.expansion > 1:
            self.expand = self.conv_norm_act("expand", width, 1)
        self.depthwise = self.conv_norm_act(
            "depthwise", None, self.kernel_size, self.stride, dilation=self.first_dilation
        )
        if self.se_ratio:
            self.squeeze_excite = SqueezeExcite(self.se_ratio, **self.named("se"))
        self.project = self.conv_norm_act("project", self.filters, 1, last=True)
        layers = (self.expand, self.depthwise, self.squeeze_excite, self.project)
        return [layer for layer in layers if layer is not None]

    def branch(self, x: Any) -> Any:
        """Apply the three convolutions."""
        if self.expand is not None:
            x = self.expand(x)  # 1x1, to channels * expansion
        x = self.depthwise(x)  # 3x3, carries the stride
        if self.squeeze_excite is not None:
            x = self.squeeze_excite(x)
        return self.project(x)  # 1x1, to filters, linear

    def sum_activation(self) -> None:
        """None: the bottleneck is linear."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "expansion": self.expansion,
            "kernel_size": self.kernel_size,
        }
