"""Two small convolutions in the place of a large one: separable and factorized."""

from typing import Any, Unpack

import keras

from keras_bottleneck import checks
from keras_bottleneck.layers import activation as activations
from keras_bottleneck.layers.arguments import LayerArguments
from keras_bottleneck.layers.block import Block, Shape, build_chain
from keras_bottleneck.layers.conv_norm_act import ConvNormAct


class ConvPair(Block):
    """The part that separable and factorized convolutions share: `second(first(x))`.

    A subclass says in `make_pair` what the two are. Each has batch norm and an activation.

    Args:
        filters: Output channels.
        kernel_size: Side of the convolution whose place they take, an odd number.
        stride: Spatial stride.
        groups: Groups of the convolutions that mix channels.
        dilation: Dilation of the kernels.
        padding: `"symmetric"` (PyTorch's) or `"same"` (TensorFlow's).
        activation: After the second.
        inner_activation: After the first.
        epsilon: Batch norm's epsilon.
        momentum: Batch norm's momentum, in Keras's sense.
        gamma_initializer: Initial scale of the second's batch norm.

    Input shape: `(batch, height, width, channels)`.
    Output shape: `(batch, ceil(height / stride), ceil(width / stride), filters)`.

    Raises:
        ValueError: For an argument out of range, or channels that `groups` does not divide.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        stride: int = 1,
        *,
        groups: int = 1,
        dilation: int = 1,
        padding: str = "symmetric",
        activation: activations.Activation = "relu",
        inner_activation: activations.Activation = "relu",
        epsilon: float = 1e-5,
        momentum: float = 0.9,
        gamma_initializer: Any = "ones",
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.filters = checks.integer("filters", filters)
        self.kernel_size = checks.integer("kernel_size", kernel_size)
        self.stride = checks.integer("stride", stride)
        self.groups = checks.integer("groups", groups)
        self.dilation = checks.integer("dilation", dilation)
        self.padding = checks.one_of("padding", padding, ("symmetric", "same"))
        self.activation = activations.check(activation)
        self.inner_activation = activations.check(inner_activation, "inner_activation")
        self.epsilon = checks.number("epsilon", epsilon, above=True)
        self.momentum = checks.number("momentum", momentum, 0, 1)
        self.gamma_initializer = keras.initializers.get(gamma_initializer)
        if self.kernel_size % 2 == 0:
            raise checks.reject("kernel_size", kernel_size, "an odd integer")
        self.first, self.second = self.make_pair()

    def conv_norm_act(
        self,
        suffix: str,
        filters: int | None,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        last: bool = False,
    ) -> ConvNormAct:
        """One of the two, with the settings of the pair."""
        return ConvNormAct(
            filters,
            kernel_size,
            stride,
            groups=1 if filters is None else self.groups,
            dilation=self.dilation,
            padding=self.padding,
            activation=self.activation if last else self.inner_activation,
            epsilon=self.epsilon,
            momentum=self.momentum,
            gamma_initializer=self.gamma_initializer if last else "ones",
            **self.named(suffix),
        )

    def make_pair(self) -> tuple[ConvNormAct, ConvNormAct]:
        """The two convolutions, in the order in which they apply."""
        raise NotImplementedError

    def build(self, input_shape: Shape) -> None:
        """Build both convolutions for an input of `input_shape`."""
        build_chain([self.first, self.second], input_shape)

    def call(self, x: Any) -> Any:
        """Apply both convolutions to `x`."""
        return self.second(self.first(x))

    def compute_output_shape(self, input_shape: Shape) -> tuple[int | None, ...]:
        """The output's shape for an input of `input_shape`."""
        between = self.first.compute_output_shape(input_shape)
        return self.second.compute_output_shape(between)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "stride": self.stride,
            "groups": self.groups,
            "dilation": self.dilation,
            "padding": self.padding,
            "activation": activations.serialize(self.activation),
            "inner_activation": activations.serialize(self.inner_activation),
            "epsilon": self.epsilon,
            "momentum": self.momentum,
            "gamma_initializer": keras.initializers.serialize(self.gamma_initializer),
        }


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class SeparableConvNormAct(ConvPair):
    """k x k depthwise, then 1x1, each with batch norm (Howard et al. 2017, "MobileNets", fig. 3).

    Args:
        filters: Output channels.
        kernel_size: k, an odd number.
        stride: Stride of the depthwise convolution.
        **kwargs: The other arguments of `ConvPair` (`groups`, `dilation`, `padding`,
            `activation`, `inner_activation`, `epsilon`, `momentum`, `gamma_initializer`) and of
            `keras.layers.Layer` (`name`, `dtype`).

    Input shape: `(batch, height, width, channels)`.
    Output shape: `(batch, ceil(height / stride), ceil(width / stride), filters)`.

    Raises:
        ValueError: As `ConvPair`.

    Example:
        >>> SeparableConvNormAct(64, 3, stride=2)(keras.Input((56, 56, 32))).shape
        (None, 28, 28, 64)
    """

    def make_pair(self) -> tuple[ConvNormAct, ConvNormAct]:
        """The depthwise convolution, which carries the stride, and the 1x1."""
        depthwise = self.conv_norm_act("depthwise", None, self.kernel_size, self.stride)
        return depthwise, self.conv_norm_act("point", self.filters, 1, last=True)


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class FactorizedConvNormAct(ConvPair):
    """k x 1, then 1 x k, each with batch norm (Szegedy et al. 2016, section 3.2, fig. 3).

    Args:
        filters: Output channels, and those between the two.
        kernel_size: k, an odd number.
        stride: Vertical stride of the first convolution, horizontal one of the second.
        **kwargs: The other arguments of `ConvPair` (`groups`, `dilation`, `padding`,
            `activation`, `inner_activation`, `epsilon`, `momentum`, `gamma_initializer`) and of
            `keras.layers.Layer` (`name`, `dtype`).

    Input shape: `(batch, height, width, channels)`.
    Output shape: `(batch, ceil(height / stride), ceil(width / stride), filters)`.

    Raises:
        ValueError: As `ConvPair`.

    Example:
        >>> FactorizedConvNormAct(64, 3, stride=2)(keras.Input((56, 56, 32))).shape
        (None, 28, 28, 64)
    """

    def make_pair(self) -> tuple[ConvNormAct, ConvNormAct]:
        """The vertical and the horizontal convolution."""
        side, stride = self.kernel_size, self.stride
        column = self.conv_norm_act("column", self.filters, (side, 1), (stride, 1))
        return column, self.conv_norm_act("row", self.filters, (1, side), (1, stride), last=True)
