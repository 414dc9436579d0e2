"""The stem: the convolutions and the pooling before a residual network's first block."""

from typing import Any, NamedTuple

import keras

from keras_bottleneck import naming
from keras_bottleneck.construction import HeNormal
from keras_bottleneck.layers import BlurPool, ConvNormAct

POOL = f"{naming.STEM}_pool"


class Stem(NamedTuple):
    """A row of the table.

    Attributes:
        convolutions: Of each, the divisor of the filters, the side of the kernel and the stride.
        pooled: Whether 3x3 max pooling of stride 2 follows.
    """

    convolutions: tuple[tuple[int, int, int], ...]
    pooled: bool

    @property
    def stride(self) -> int:
        """How many times smaller the image is behind the stem."""
        first, *_ = (stride for _, _, stride in self.convolutions)
        return first * 2 if self.pooled else first


STEMS = {
    "imagenet": Stem(((1, 7, 2),), True),  # He et al. 2015, table 1
    "deep": Stem(((2, 3, 2), (2, 3, 1), (1, 3, 1)), True),  # He et al. 2018, fig. 2b
    "cifar": Stem(((1, 3, 1),), False),  # He et al. 2015, section 4.2
}


def with_stem(
    x: Any, kind: str, filters: int, *, bare: bool, conv_bias: bool, antialias: bool, **conv: Any
) -> Any:
    """The feature map that the stem `kind` computes from the image `x`.

    Args:
        x: A Keras tensor.
        kind: A key of `STEMS`.
        filters: Channels that leave it.
        bare: Whether the last convolution has neither batch norm nor activation, because the
            blocks begin with them.
        conv_bias: Whether a bare convolution has a bias.
        antialias: Whether a `BlurPool` takes the stride of the pooling.
        **conv: Settings of `ConvNormAct`.
    """
    stem = STEMS[kind]
    for number, (divisor, side, stride) in enumerate(stem.convolutions, start=1):
        name = naming.stem(number)
        if bare and number == len(stem.convolutions):
            x = _bare(x, filters, side, stride, conv["padding"], conv_bias, name)
        else:
            x = ConvNormAct(filters // divisor, side, stride, name=name, **conv)(x)
    return _pooled(x, conv["padding"], antialias) if stem.pooled else x


def _bare(
    x: Any, filters: int, side: int, stride: int, padding: str, use_bias: bool, name: str
) -> Any:
    padded = padding == "symmetric" and stride > 1
    if padded:
        x = keras.layers.ZeroPadding2D(side // 2, name=f"{name}_pad")(x)
    conv = keras.layers.Conv2D(
        filters,
        side,
        stride,
        "valid" if padded else "same",
        use_bias=use_bias,
        kernel_initializer=HeNormal(),
        name=f"{name}_conv",
    )
    return conv(x)


def _pooled(x: Any, padding: str, antialias: bool) -> Any:
    stride = 1 if antialias else 2
    if padding == "same":
        x = keras.layers.MaxPooling2D(3, stride, padding="same", name=POOL)(x)
    else:
        # Zeros, not minus infinity: after a ReLU the maximum is the same, and int8 survives.
        x = keras.layers.ZeroPadding2D(1, name=f"{POOL}_pad")(x)
        x = keras.layers.MaxPooling2D(3, stride, name=POOL)(x)
    return BlurPool(2, name=f"{POOL}_blur")(x) if antialias else x
