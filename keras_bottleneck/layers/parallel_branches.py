"""`ParallelBranches`: many convolutions in training, a single one after `graph.fold`."""

from collections.abc import Sequence
from typing import Any, Unpack

import keras

from keras_bottleneck import checks
from keras_bottleneck.layers import activation as activations
from keras_bottleneck.layers.arguments import LayerArguments
from keras_bottleneck.layers.block import Block, Shape, image_channels
from keras_bottleneck.layers.conv_norm_act import ConvNormAct


class ParallelBranches(Block):
    """The part that re-parameterized blocks share: `activation(sum of linear branches of x)`.

    A subclass says in `make_branches` what its branches are. All are linear and read the same
    image, so that their sum is one convolution: `graph.fold` makes it that.

    Args:
        filters: Output channels.
        kernel_size: Side of the largest kernel, an odd number.
        stride: Spatial stride.
        groups: Groups of the convolutions.
        dilation: Dilation of the kernels.
        padding: `"symmetric"` (PyTorch's) or `"same"` (TensorFlow's).
        activation: After the sum.
        epsilon: Batch norm's epsilon.
        momentum: Batch norm's momentum, in Keras's sense.
        gamma_initializer: Initial scale of each batch norm.

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
        activation: activations.Activation = None,
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
        self.epsilon = checks.number("epsilon", epsilon, above=True)
        self.momentum = checks.number("momentum", momentum, 0, 1)
        self.gamma_initializer = keras.initializers.get(gamma_initializer)
        if self.kernel_size % 2 == 0:
            # An even one has no centre for the smaller kernels.
            raise checks.reject("kernel_size", kernel_size, "an odd integer")
        if self.stride > 1 and self.dilation > 1:
            raise checks.reject("dilation", dilation, f"1 where stride is {stride}")
        if self.filters % self.groups:
            raise checks.reject("groups", groups, f"a divisor of filters={filters!r}")

    def conv_norm(self, suffix: str, kernel_size: int | tuple[int, int]) -> ConvNormAct:
        """A linear branch: a convolution with the block's settings, and batch norm."""
        return ConvNormAct(
            self.filters,
            kernel_size,
            self.stride,
            groups=self.groups,
            dilation=self.dilation,
            padding=self.padding,
            activation=None,
            epsilon=self.epsilon,
            momentum=self.momentum,
            gamma_initializer=self.gamma_initializer,
            **self.named(suffix),
        )

    def make_branches(self, channels: int) -> Sequence[keras.layers.Layer]:
        """The layers whose outputs are summed, for an input of `channels`."""
        raise NotImplementedError

    def build(self, input_shape: Shape) -> None:
        """Make and build the branches for an input of `input_shape`."""
        self.branches = list(self.make_branches(image_channels(self, input_shape)))
        for branch in self.branches:
            branch.build(input_shape)
        output_shape = self.compute_output_shape(input_shape)
        self.add = keras.layers.Add(**self.named("add"))
        self.add.build([output_shape] * len(self.branches))
        self.final_activation = activations.make(self.activation, **self.named("act"))
        if self.final_activation is not None:
            self.final_activation.build(output_shape)

    def call(self, x: Any) -> Any:
        """Sum what the branches make of `x`."""
        y = self.add([branch(x) for branch in self.branches])
        return y if self.final_activation is None else self.final_activation(y)

    def compute_output_shape(self, input_shape: Shape) -> tuple[int | None, ...]:
        """The output's shape for an input of `input_shape`."""
        image_channels(self, input_shape)
        batch, height, width, _ = input_shape
        # An odd kernel with either padding: ceil(size / stride).
        sizes = [None if size is None else -(-size // self.stride) for size in (height, width)]
        return (batch, *sizes, self.filters)

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
            "epsilon": self.epsilon,
            "momentum": self.momentum,
            "gamma_initializer": keras.initializers.serialize(self.gamma_initializer),
        }
