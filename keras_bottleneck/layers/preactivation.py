"""Blocks whose batch norm and activation stand before each convolution."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_bottleneck import checks
from keras_bottleneck.construction import HeNormal
from keras_bottleneck.layers import activation as activations
from keras_bottleneck.layers.basic_block import BasicBlock
from keras_bottleneck.layers.block import image_channels
from keras_bottleneck.layers.bottleneck import Bottleneck
from keras_bottleneck.layers.normalization import BatchNormalization
from keras_bottleneck.layers.residual_block import ResidualBlock


class Preactivation(ResidualBlock):
    """What full pre-activation makes of a residual block (He et al. 2016, fig. 4e).

    Batch norm and activation come before the first convolution and between the others; the last
    convolution and the sum have none behind them. A shortcut with weights starts at the
    pre-activated input, any other at the input itself; where `"projection"` has nothing to
    project but a stride, it takes every `stride`-th pixel, as in `keras.applications`.

    Args:
        conv_bias: Whether the convolutions that no batch norm follows have a bias.
        **kwargs: The arguments of the block that is pre-activated.

    Raises:
        ValueError: As `ResidualBlock`, and for `zero_init_residual`: no batch norm ends the
            branch.
    """

    def __init__(self, *args: Any, conv_bias: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conv_bias = checks.boolean("conv_bias", conv_bias)
        if self.zero_init_residual:
            raise checks.reject("zero_init_residual", True, "False for a pre-activated block")
        if self.conv != "standard":
            raise checks.reject("conv", self.conv, "'standard' for a pre-activated block")

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make and build the sub-layers for an input of `input_shape`."""
        image_channels(self, input_shape)
        self.first_norm = BatchNormalization(
            epsilon=self.epsilon, momentum=self.momentum, **self.named("preact_bn")
        )
        self.first_norm.build(input_shape)
        self.first_activation = activations.make(self.activation, **self.named("preact_act"))
        if self.first_activation is not None:
            self.first_activation.build(input_shape)
        super().build(input_shape)

    def conv_norm_act(
        self,
        suffix: str,
        filters: int | None,
        kernel_size: int,
        stride: int = 1,
        groups: int = 1,
        last: bool = False,
        dilation: int | None = None,
    ) -> keras.layers.Layer:
        """A convolution of the branch with the block's settings; behind the `last` is nothing."""
        if not last:
            return super().conv_norm_act(
                suffix, filters, kernel_size, stride, groups, dilation=dilation
            )
        dilation = 1 if kernel_size == 1 else dilation or self.dilation
        return self._conv(suffix, filters, kernel_size, dilation_rate=dilation, groups=groups)

    def make_shortcut(self, kind: str, channels: int) -> keras.layers.Layer | None:
        """What brings an input of `channels` to the branch's shape; None where it has that."""
        if kind != "projection":
            return super().make_shortcut(kind, channels)
        if channels != self.out_channels(channels):
            return self._conv("shortcut", self.out_channels(channels), 1, strides=self.stride)
        if self.stride > 1:
            return keras.layers.MaxPooling2D(1, self.stride, **self.named("shortcut_sample"))
        return None

    def _conv(self, suffix: str, *args: Any, **arguments: Any) -> keras.layers.Layer:
        return keras.layers.Conv2D(
            *args,
            padding="same",
            use_bias=self.conv_bias,
            kernel_initializer=HeNormal(),
            **arguments,
            **self.named(f"{suffix}_conv"),
        )

    def sum_activation(self) -> None:
        """None: the next block begins with its activation."""

    def call(self, x: Any) -> Any:
        """Apply the block to `x`."""
        y = self.first_norm(x)
        if self.first_activation is not None:
            y = self.first_activation(y)
        shortcut = self._shortcut(x, y)
        y = self.branch(y)
        for layer in self.after_branch:
            y = layer(y)
        return y if self.add is None else self.add([y, shortcut])

    def _shortcut(self, x: Any, preactivated: Any) -> Any:
        if self.shortcut_path is None:
            return x
        return self.shortcut_path(preactivated if self.shortcut_path.weights else x)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "conv_bias": self.conv_bias}


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class PreactivationBasicBlock(Preactivation, BasicBlock):
    """`BasicBlock` with full pre-activation: the block of ResNet-18 V2 and of deep CIFAR networks.

    Args:
        filters: Output channels.
        stride: Stride of the block.
        conv_bias: Whether the convolutions that no batch norm follows have a bias.
        **kwargs: The other arguments of `BasicBlock`.

    Input and output shape: as `BasicBlock`.

    Raises:
        ValueError: As `ResidualBlock`, and for `zero_init_residual`.

    Source: He et al. 2016, "Identity mappings in deep residual networks", fig. 1b.

    Example:
        >>> PreactivationBasicBlock(128, stride=2)(keras.Input((56, 56, 64))).shape
        (None, 28, 28, 128)
    """

    def __init__(
        self, filters: int, stride: int = 1, *, conv_bias: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(filters, stride, conv_bias=conv_bias, **kwargs)


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class PreactivationBottleneck(Preactivation, Bottleneck):
    """`Bottleneck` with full pre-activation: the block of ResNet-50 V2 and deeper.

    Args:
        filters: As `Bottleneck`.
        stride: As `Bottleneck`.
        expansion: As `Bottleneck`.
        groups: As `Bottleneck`.
        base_width: As `Bottleneck`.
        stride_on: As `Bottleneck`.
        conv_bias: Whether the convolutions that no batch norm follows have a bias.
        **kwargs: The other arguments of `Bottleneck`.

    Input and output shape: as `Bottleneck`.

    Raises:
        ValueError: As `ResidualBlock`, and for `zero_init_residual`.

    Source: He et al. 2016, "Identity mappings in deep residual networks"; with `conv_bias`,
    `keras.applications.ResNet50V2`.

    Example:
        >>> PreactivationBottleneck(64, stride=2)(keras.Input((56, 56, 256))).shape
        (None, 28, 28, 256)
    """

    def __init__(
        self,
        filters: int,
        stride: int = 1,
        expansion: int = 4,
        groups: int = 1,
        base_width: int = 64,
        stride_on: str = "3x3",
        *,
        conv_bias: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters,
            stride,
            expansion,
            groups,
            base_width,
            stride_on,
            conv_bias=conv_bias,
            **kwargs,
        )
