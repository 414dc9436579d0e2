"""`ResidualBlock`: F(x) + x, the base of the blocks that the papers draw."""

from collections.abc import Iterable, Sequence
from typing import Any, Unpack

import keras

from keras_bottleneck import checks
from keras_bottleneck.layers import activation as activations
from keras_bottleneck.layers import convolutions, shortcuts
from keras_bottleneck.layers.arguments import LayerArguments
from keras_bottleneck.layers.block import Block, build_chain, image_channels
from keras_bottleneck.layers.drop_path import DropPath
from keras_bottleneck.layers.squeeze_excite import SqueezeExcite


class ResidualBlock(Block):
    """The part that all residual blocks share: `activation(branch(x) + shortcut(x))`.

    A subclass says what its branch is: `make_branch` makes the layers, `branch` applies them
    as the paper's figure shows, `out_channels` tells the number of channels that leave it.
    This class alone knows about shortcuts, squeeze-excite, drop path, the sum and the last
    activation.

    Args:
        stride: Spatial stride of the block.
        shortcut: `"projection"` (1x1 convolution + batch norm where shapes differ, else
            identity), `"pad"` (option A: strided, zero-padded channels, no parameters),
            `"pool"` (ResNet-D: average pool, then 1x1), `"identity"` (an error where shapes
            differ) or `"none"` (a plain network without shortcut).
        conv: What the k x k convolutions are: `"standard"`, `"separable"` (k x k depthwise, then
            1x1), `"factorized"` (k x 1, then 1 x k) or `"asymmetric"` (`AsymmetricConv2D`).
        padding: `"symmetric"` (paper, torchvision) or `"same"` (TensorFlow's).
        activation: After each convolution and after the sum.
        drop_path: Probability of dropping the branch of a sample while training.
        se_ratio: Squeeze-excite bottleneck as a part of the channels; 0 for none.
        zero_init_residual: Start the branch's last batch norm at zero, so that the block
            starts as its shortcut (Goyal et al. 2017, section 5.1).
        epsilon: Batch norm's epsilon.
        momentum: Batch norm's momentum, in Keras's sense.
        dilation: Dilation of the branch's k x k convolutions; 1 where there is a stride.
        first_dilation: That of the convolution where the stride would be, in a block whose stage
            is dilated instead of strided; by default `dilation`.
        antialias: Whether a `BlurPool` takes the branch's stride (Zhang 2019).

    Input shape: `(batch, height, width, channels)`.
    Output shape: `(batch, ceil(height / stride), ceil(width / stride), out_channels)`.

    Raises:
        ValueError: For an argument out of range, or an identity shortcut between shapes that
            differ; the message names both shapes.
    """

    squeeze_after_branch = True

    def __init__(
        self,
        stride: int = 1,
        shortcut: str = "projection",
        padding: str = "symmetric",
        activation: activations.Activation = "relu",
        drop_path: float = 0.0,
        se_ratio: float = 0.0,
        zero_init_residual: bool = False,
        epsilon: float = 1e-5,
        momentum: float = 0.9,
        dilation: int = 1,
        first_dilation: int | None = None,
        antialias: bool = False,
        conv: str = "standard",
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.stride = checks.integer("stride", stride)
        self.shortcut = checks.one_of("shortcut", shortcut, shortcuts.KINDS)
        self.conv = checks.one_of("conv", conv, convolutions.KINDS)
        self.padding = checks.one_of("padding", padding, ("symmetric", "same"))
        self.activation = activations.check(activation)
        self.drop_path = checks.number("drop_path", drop_path, 0, 1, below=True)
        self.se_ratio = checks.number("se_ratio", se_ratio, 0, 1)
        self.zero_init_residual = checks.boolean("zero_init_residual", zero_init_residual)
        self.epsilon = checks.number("epsilon", epsilon, above=True)
        self.momentum = checks.number("momentum", momentum, 0, 1)
        self.dilation = checks.integer("dilation", dilation)
        first_dilation = dilation if first_dilation is None else first_dilation
        self.first_dilation = checks.integer("first_dilation", first_dilation)
        self.antialias = checks.boolean("antialias", antialias)
        if self.stride > 1 and self.dilation > 1:
            raise checks.reject("dilation", dilation, f"1 where stride is {stride}")
        if self.antialias and self.conv != "standard":
            raise checks.reject("antialias", antialias, f"False where conv is {conv!r}")

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
        """A convolution of the branch with the block's settings; the `last` one is linear."""
        kind = self.conv if kernel_size > 1 else "standard"
        return convolutions.KINDS[kind](
            filters,
            kernel_size,
            stride,
            groups=groups,
            dilation=1 if kernel_size == 1 else dilation or self.dilation,
            padding=self.padding,
            activation=None if last else self.activation,
            epsilon=self.epsilon,
            momentum=self.momentum,
            gamma_initializer="zeros" if last and self.zero_init_residual else "ones",
            **self._settings_of(kind),
            **self.named(suffix),
        )

    def _settings_of(self, kind: str) -> dict[str, Any]:
        """The settings that not all kinds of convolutions have."""
        if kind in convolutions.PAIRS:
            return {"inner_activation": self.activation}
        return {"antialias": self.antialias} if kind == "standard" else {}

    def out_channels(self, channels: int) -> int:
        """Channels that leave the block when `channels` enter it."""
        raise NotImplementedError

    def make_branch(self, channels: int) -> Sequence[keras.layers.Layer]:
        """The branch's layers for an input of `channels`, in the order in which they apply."""
        raise NotImplementedError

    def branch(self, x: Any) -> Any:
        """F(x): the branch's layers applied as in the paper's figure."""
        raise NotImplementedError

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make and build the sub-layers for an input of `input_shape`."""
        channels = image_channels(self, input_shape)
        kind = self.shortcut_kind(channels)
        branch = list(self.make_branch(channels))
        self.after_branch = list(self._make_after_branch(kind))
        build_chain([*branch, *self.after_branch], input_shape)

        output_shape = self.compute_output_shape(input_shape)
        self.shortcut_path = self.make_shortcut(kind, channels)
        if self.shortcut_path is not None:
            self.shortcut_path.build(input_shape)
        self.add = None
        if kind != "none":
            self.add = keras.layers.Add(**self.named("add"))
            self.add.build([output_shape, output_shape])
        self.final_activation = activations.make(self.sum_activation(), **self.named("act"))
        if self.final_activation is not None:
            self.final_activation.build(output_shape)

    def _make_after_branch(self, kind: str) -> Iterable[keras.layers.Layer]:
        if self.se_ratio and self.squeeze_after_branch:
            yield SqueezeExcite(self.se_ratio, **self.named("se"))
        if self.drop_path and kind != "none":
            yield DropPath(self.drop_path, **self.named("drop_path"))

    def make_shortcut(self, kind: str, channels: int) -> keras.layers.Layer | None:
        """What brings an input of `channels` to the branch's shape; None where it has that."""
        return shortcuts.KINDS[kind](self, channels, self.out_channels(channels))

    def shortcut_kind(self, channels: int) -> str:
        """The kind of shortcut for an input of `channels`."""
        return self.shortcut

    def sum_activation(self) -> activations.Activation:
        """The activation after the sum; None where the paper's block ends linear."""
        return self.activation

    def call(self, x: Any) -> Any:
        """Apply the block to `x`."""
        y = self.branch(x)
        for layer in self.after_branch:
            y = layer(y)
        if self.add is not None:
            y = self.add([y, x if self.shortcut_path is None else self.shortcut_path(x)])
        return y if self.final_activation is None else self.final_activation(y)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """The output's shape for an input of `input_shape`."""
        channels = image_channels(self, input_shape)
        batch, height, width, _ = input_shape
        # 1x1 and odd k x k convolutions with either padding: ceil(size / stride).
        sizes = [None if size is None else -(-size // self.stride) for size in (height, width)]
        return (batch, *sizes, self.out_channels(channels))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "stride": self.stride,
            "shortcut": self.shortcut,
            "conv": self.conv,
            "padding": self.padding,
            "activation": activations.serialize(self.activation),
            "drop_path": self.drop_path,
            "se_ratio": self.se_ratio,
            "zero_init_residual": self.zero_init_residual,
            "epsilon": self.epsilon,
            "momentum": self.momentum,
            "dilation": self.dilation,
            "first_dilation": self.first_dilation,
            "antialias": self.antialias,
        }
