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
        drop_path: Probability of dropping the branch of a sample while training.
        se_ratio: Squeeze-excite after the depthwise convolution, as a part of its channels.
        zero_init_residual: Start the projection's batch norm at zero.
        epsilon: Batch norm's epsilon.
        momentum: Batch norm's momentum, in Keras's sense.

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
        drop_path: float = 0.0,
        se_ratio: float = 0.0,
        zero_init_residual: bool = False,
        epsilon: float = 1e-5,
        momentum: float = 0.9,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            stride=stride,
            padding=padding,
            activation=activation,
            drop_path=drop_path,
            se_ratio=se_ratio,
            zero_init_residual=zero_init_residual,
            epsilon=epsilon,
            momentum=momentum,
            **kwargs,
        )
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

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make and build the sub-layers for an input of `input_shape`."""
        adds = self.stride == 1 and input_shape[-1] == self.filters
        self.shortcut = "identity" if adds else "none"
        super().build(input_shape)

    def make_branch(self, channels: int) -> Sequence[keras.layers.Layer]:
        """Expand, depthwise and project, with squeeze-excite before the projection."""
        width = channels * self.expansion
        if self.expansion > 1:
            self.expand = self.conv_norm_act("expand", width, 1)
        self.depthwise = self.conv_norm_act("depthwise", None, self.kernel_size, self.stride)
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
        config = super().get_config()
        # Which shortcut the block has follows from its shapes.
        del config["shortcut"]
        return {
            **config,
            "filters": self.filters,
            "expansion": self.expansion,
            "kernel_size": self.kernel_size,
        }
