"""Convolution, batch norm, activation: the triple that every block is made of."""

from collections.abc import Sequence
from typing import Any, Unpack

import keras

from keras_bottleneck import checks
from keras_bottleneck.construction import HeNormal
from keras_bottleneck.layers import activation as activations
from keras_bottleneck.layers.arguments import LayerArguments
from keras_bottleneck.layers.block import Block, Shape, build_chain, image_channels
from keras_bottleneck.layers.blur_pool import BlurPool
from keras_bottleneck.layers.normalization import BatchNormalization


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class ConvNormAct(Block):
    """Convolution (or depthwise convolution), then batch norm, then activation.

    Args:
        filters: Output channels; None for a depthwise convolution, one filter per channel.
        kernel_size: Side of the kernel, or (height, width).
        stride: Spatial stride, or (vertical, horizontal).
        groups: Groups of the convolution (1 where it is depthwise).
        dilation: Dilation of the kernel.
        padding: `"symmetric"` pads `dilation * (kernel_size // 2)` on both sides of an axis
            (paper, torchvision, keras.applications ResNet); `"same"` is TensorFlow's, which pads
            strided convolutions more at the bottom and right.
        activation: None, the name of a Keras activation, a callable, or a layer to copy.
        use_bias: Whether the convolution has a bias before batch norm.
        epsilon: Batch norm's epsilon.
        momentum: Batch norm's momentum, in Keras's sense.
        gamma_initializer: Initial scale of batch norm.
        antialias: Whether the convolution leaves its stride to a `BlurPool` behind the activation.

    Input shape: `(batch, height, width, channels)`.
    Output shape: `(batch, new_height, new_width, filters)`.

    Raises:
        ValueError: For an argument out of range, or channels that `groups` does not divide.

    Example:
        >>> x = keras.Input((56, 56, 64))
        >>> ConvNormAct(128, 3, stride=2)(x).shape
        (None, 28, 28, 128)
    """

    def __init__(
        self,
        filters: int | None,
        kernel_size: int | Sequence[int] = 3,
        stride: int | Sequence[int] = 1,
        *,
        groups: int = 1,
        dilation: int = 1,
        padding: str = "symmetric",
        activation: activations.Activation = "relu",
        use_bias: bool = False,
        epsilon: float = 1e-5,
        momentum: float = 0.9,
        gamma_initializer: Any = "ones",
        antialias: bool = False,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.filters = None if filters is None else checks.integer("filters", filters)
        self.kernel_size = checks.size("kernel_size", kernel_size)
        self.stride = checks.size("stride", stride)
        self.groups = checks.integer("groups", groups)
        self.dilation = checks.integer("dilation", dilation)
        self.padding = checks.one_of("padding", padding, ("symmetric", "same"))
        self.activation = activations.check(activation)
        self.use_bias = checks.boolean("use_bias", use_bias)
        self.epsilon = checks.number("epsilon", epsilon, above=True)
        self.momentum = checks.number("momentum", momentum, 0, 1)
        self.gamma_initializer = keras.initializers.get(gamma_initializer)
        self.antialias = checks.boolean("antialias", antialias)
        if max(self.stride) > 1 and self.dilation > 1:
            raise checks.reject("dilation", dilation, f"1 where stride is {stride}")
        if (filters is None or self.antialias) and self.stride[0] != self.stride[1]:
            raise checks.reject("stride", stride, "equal on both axes where depthwise or blurred")
        if (self.filters or 1) % self.groups or (filters is None and groups > 1):
            raise checks.reject("groups", groups, f"a divisor of filters={filters!r}")

        blurred = self.antialias and max(self.stride) > 1
        self.conv_stride = (1, 1) if blurred else self.stride
        self.pad = self._make_pad()
        self.conv = self._make_conv("same" if self.pad is None else "valid")
        self.norm = BatchNormalization(
            epsilon=self.epsilon,
            momentum=self.momentum,
            gamma_initializer=self.gamma_initializer,
            **self.named("bn"),
        )
        self.act = activations.make(self.activation, **self.named("act"))
        self.blur = BlurPool(self.stride[0], **self.named("blur")) if blurred else None

    def _make_pad(self) -> keras.layers.Layer | None:
        # The convolution's own "same" is symmetric for an odd kernel without stride, and saves
        # the artifact a PAD operator.
        same_is_symmetric = all(
            side == 1 or (stride == 1 and side % 2 == 1)
            for side, stride in zip(self.kernel_size, self.conv_stride, strict=True)
        )
        if self.padding == "same" or same_is_symmetric:
            return None
        pads = tuple(self.dilation * (side // 2) for side in self.kernel_size)
        return keras.layers.ZeroPadding2D(pads, **self.named("pad"))

    def _make_conv(self, padding: str) -> keras.layers.Layer:
        if self.filters is None:
            return keras.layers.DepthwiseConv2D(
                self.kernel_size,
                self.conv_stride,
                padding,
                dilation_rate=self.dilation,
                use_bias=self.use_bias,
                depthwise_initializer=HeNormal(),
                **self.named("conv"),
            )
        return keras.layers.Conv2D(
            self.filters,
            self.kernel_size,
            self.conv_stride,
            padding,
            dilation_rate=self.dilation,
            groups=self.groups,
            use_bias=self.use_bias,
            kernel_initializer=HeNormal(),
            **self.named("conv"),
        )

    def build(self, input_shape: Shape) -> None:
        """Build the sub-layers for an input of `input_shape`."""
        channels = image_channels(self, input_shape)
        if channels % self.groups:
            raise checks.reject("groups", self.groups, f"a divisor of the {channels} channels")
        layers = (self.pad, self.conv, self.norm, self.act, self.blur)
        build_chain([layer for layer in layers if layer is not None], input_shape)

    def call(self, x: Any) -> Any:
        """Apply convolution, batch norm and activation to `x`."""
        if self.pad is not None:
            x = self.pad(x)
        x = self.norm(self.conv(x))
        if self.act is not None:
            x = self.act(x)
        return x if self.blur is None else self.blur(x)

    def compute_output_shape(self, input_shape: Shape) -> tuple[int | None, ...]:
        """The output's shape for an input of `input_shape`."""
        batch, *sizes, _ = input_shape
        channels = self.filters or image_channels(self, input_shape)
        axes = zip(sizes, self.kernel_size, self.stride, strict=True)
        return (batch, *(self._output_size(*axis) for axis in axes), channels)

    def _output_size(self, size: int | None, side: int, stride: int) -> int | None:
        if size is None:
            return None
        if self.padding != "same":
            pad = self.dilation * (side // 2)
            size += 2 * pad - self.dilation * (side - 1)
        # Of both: a blur samples what a convolution without stride leaves.
        return -(-size // stride)

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
            "use_bias": self.use_bias,
            "epsilon": self.epsilon,
            "momentum": self.momentum,
            "gamma_initializer": keras.initializers.serialize(self.gamma_initializer),
            "antialias": self.antialias,
        }
