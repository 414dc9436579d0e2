"""The shortcuts of a residual block, one function for each kind.

Each takes the block, the channels that enter and those that leave, and returns the layer that
brings `x` to the branch's shape, or None where `x` itself has it.
"""

from typing import Any, Unpack

import keras

from keras_bottleneck.layers.arguments import LayerArguments
from keras_bottleneck.layers.block import Block, Shape, build_chain
from keras_bottleneck.layers.conv_norm_act import ConvNormAct


def _projection(block: Any, channels: int, out_channels: int) -> keras.layers.Layer | None:
    """1x1 convolution + batch norm (He et al. 2015, option B)."""
    if _same_shape(block, channels, out_channels):
        return None
    return ConvNormAct(
        out_channels,
        1,
        block.stride,
        padding=block.padding,
        activation=None,
        epsilon=block.epsilon,
        momentum=block.momentum,
        **block.named("shortcut"),
    )


def _pad(block: Any, channels: int, out_channels: int) -> keras.layers.Layer | None:
    """Strided sampling and zero channels, no parameters (He et al. 2015, option A)."""
    if _same_shape(block, channels, out_channels):
        return None
    if out_channels < channels:
        raise ValueError(
            f"`shortcut` 'pad' of {block.name!r} can only add channels. Received: {channels} "
            f"input channels, {out_channels} output channels"
        )
    return PadShortcut(out_channels - channels, block.stride, **block.named("shortcut"))


def _pool(block: Any, channels: int, out_channels: int) -> keras.layers.Layer | None:
    """Average pool, then 1x1 convolution (ResNet-D, He et al. 2018, fig. 2c)."""
    if _same_shape(block, channels, out_channels):
        return None
    return PoolShortcut(
        out_channels, block.stride, block.epsilon, block.momentum, **block.named("shortcut")
    )


def _identity(block: Any, channels: int, out_channels: int) -> None:
    """`x` itself, which must already have the branch's shape."""
    if not _same_shape(block, channels, out_channels):
        raise ValueError(
            f"`shortcut` 'identity' of {block.name!r} needs equal shapes. Received: input "
            f"(height, width, {channels}), branch output (height / {block.stride}, "
            f"width / {block.stride}, {out_channels})"
        )


def _none(block: Any, channels: int, out_channels: int) -> None:
    """No shortcut: a plain network."""


KINDS = {
    "projection": _projection,
    "pad": _pad,
    "pool": _pool,
    "identity": _identity,
    "none": _none,
}


def _same_shape(block: Any, channels: int, out_channels: int) -> bool:
    return block.stride == 1 and channels == out_channels


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class PadShortcut(Block):
    """Every `stride`-th pixel, with `extra_channels` zero channels, half before and half after."""

    def __init__(self, extra_channels: int, stride: int, **kwargs: Unpack[LayerArguments]) -> None:
        super().__init__(**kwargs)
        self.extra_channels = extra_channels
        self.stride = stride
        # A 1x1 max pool picks single pixels: x[:, ::stride, ::stride] as a stock layer.
        self.sample = keras.layers.MaxPooling2D(1, stride, **self.named("sample"))

    def build(self, input_shape: Shape) -> None:
        """Build the sampling layer."""
        self.sample.build(input_shape)

    def call(self, x: Any) -> Any:
        """Sample `x` and pad its channels."""
        before = self.extra_channels // 2
        channels = [before, self.extra_channels - before]
        return keras.ops.pad(self.sample(x), [[0, 0], [0, 0], [0, 0], channels])

    def compute_output_shape(self, input_shape: Shape) -> tuple[int | None, ...]:
        """The sampled shape with the extra channels."""
        *image, channels = self.sample.compute_output_shape(input_shape)
        return (*image, channels + self.extra_channels)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = {"extra_channels": self.extra_channels, "stride": self.stride}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class PoolShortcut(Block):
    """2x2 average pool that carries the stride, then a 1x1 convolution and batch norm."""

    def __init__(
        self,
        filters: int,
        stride: int,
        epsilon: float,
        momentum: float,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.stride = stride
        self.epsilon = epsilon
        self.momentum = momentum
        self.project = ConvNormAct(
            filters,
            1,
            activation=None,
            epsilon=epsilon,
            momentum=momentum,
            **self.named("project"),
        )
        self.pool = None
        if stride > 1:
            pool = keras.layers.AveragePooling2D
            self.pool = pool(stride, stride, padding="same", **self.named("pool"))

    def _layers_in_order(self) -> list[keras.layers.Layer]:
        return [self.project] if self.pool is None else [self.pool, self.project]

    def build(self, input_shape: Shape) -> None:
        """Build the pool and the projection."""
        build_chain(self._layers_in_order(), input_shape)

    def call(self, x: Any) -> Any:
        """Pool and project `x`."""
        for layer in self._layers_in_order():
            x = layer(x)
        return x

    def compute_output_shape(self, input_shape: Shape) -> tuple[int | None, ...]:
        """The pooled shape with `filters` channels."""
        shape: Shape = input_shape
        for layer in self._layers_in_order():
            shape = layer.compute_output_shape(shape)
        return tuple(shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "stride": self.stride,
            "epsilon": self.epsilon,
            "momentum": self.momentum,
        }
