"""What a residual block may have for its k x k convolutions, by the name of `conv=`."""

from collections.abc import Callable

import keras

from keras_bottleneck.layers.asymmetric_conv import AsymmetricConv2D
from keras_bottleneck.layers.conv_norm_act import ConvNormAct
from keras_bottleneck.layers.conv_pair import FactorizedConvNormAct, SeparableConvNormAct

# Those of two convolutions have an activation between them.
PAIRS: dict[str, Callable[..., keras.layers.Layer]] = {
    "separable": SeparableConvNormAct,
    "factorized": FactorizedConvNormAct,
}
KINDS: dict[str, Callable[..., keras.layers.Layer]] = {
    "standard": ConvNormAct,
    "asymmetric": AsymmetricConv2D,
    **PAIRS,
}
