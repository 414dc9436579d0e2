"""One maker for each kind of layer, and the models that people put them into."""

import keras
import pytest

from keras_bottleneck import layers

MAKERS = {
    "conv": lambda **k: layers.ConvNormAct(6, 3, 2, activation="swish", **k),
    "grouped_conv": lambda **k: layers.ConvNormAct(8, 5, groups=4, use_bias=True, **k),
    "depthwise": lambda **k: layers.ConvNormAct(None, 3, dilation=2, activation="relu6", **k),
    "antialiased": lambda **k: layers.ConvNormAct(6, 3, 2, antialias=True, **k),
    "blur_pool": lambda **k: layers.BlurPool(2, **k),
    "wide_conv": lambda **k: layers.ConvNormAct(6, (1, 5), (2, 1), **k),
    "asymmetric": lambda **k: layers.AsymmetricConv2D(6, 3, 2, activation="relu", **k),
    "repvgg": lambda **k: layers.RepVGGBlock(8, dilation=2, **k),
    "repvgg_stride": lambda **k: layers.RepVGGBlock(6, 2, "swish", padding="same", **k),
    "separable": lambda **k: layers.SeparableConvNormAct(6, 5, 2, activation=None, **k),
    "factorized": lambda **k: layers.FactorizedConvNormAct(
        6, stride=2, groups=2, inner_activation="swish", **k
    ),
    "basic_factorized": lambda **k: layers.BasicBlock(6, 2, conv="factorized", **k),
    "bottleneck_separable": lambda **k: layers.Bottleneck(2, conv="separable", **k),
    "basic_asymmetric": lambda **k: layers.BasicBlock(8, conv="asymmetric", padding="same", **k),
    "basic": lambda **k: layers.BasicBlock(8, drop_path=0.3, se_ratio=0.25, **k),
    "basic_pad": lambda **k: layers.BasicBlock(12, 2, shortcut="pad", **k),
    "basic_pool": lambda **k: layers.BasicBlock(6, 3, shortcut="pool", padding="same", **k),
    "basic_dilated": lambda **k: layers.BasicBlock(8, dilation=2, **k),
    "basic_preactivated": lambda **k: layers.PreactivationBasicBlock(8, drop_path=0.2, **k),
    "bottleneck": lambda **k: layers.Bottleneck(4, 2, groups=2, activation="gelu", **k),
    "bottleneck_prelu": lambda **k: layers.Bottleneck(
        2, activation=keras.layers.PReLU(shared_axes=[1, 2]), stride_on="1x1", **k
    ),
    "bottleneck_antialiased": lambda **k: layers.Bottleneck(4, 2, antialias=True, **k),
    "bottleneck_preactivated": lambda **k: layers.PreactivationBottleneck(
        4, 2, groups=2, conv_bias=True, se_ratio=0.25, **k
    ),
    "bottleneck_again": lambda **k: layers.Remat(layers.Bottleneck(2, drop_path=0.2, **k), **k),
    "darknet": lambda **k: layers.DarknetBottleneck(8, groups=2, drop_path=0.2, **k),
    "darknet_stride": lambda **k: layers.DarknetBottleneck(
        6, 2, expansion=1, se_ratio=0.25, activation="relu", **k
    ),
    "csp": lambda **k: layers.CSPLayer(10, blocks=2, expansion=0.6, **k),
    "csp_plain": lambda **k: layers.CSPLayer(6, shortcut="none", padding="same", **k),
    "inverted": lambda **k: layers.InvertedResidual(8, se_ratio=0.25, drop_path=0.2, **k),
    "inverted_stride": lambda **k: layers.InvertedResidual(5, 2, 1, kernel_size=5, **k),
    "residual": lambda **k: layers.Residual(
        [keras.layers.Conv2D(8, 3, padding="same"), layers.BatchNormalization()], "relu", **k
    ),
    "squeeze_excite": lambda **k: layers.SqueezeExcite(0.5, "swish", "hard_sigmoid", **k),
    "drop_path": lambda **k: layers.DropPath(0.4, seed=3, **k),
    "batch_norm": lambda **k: layers.BatchNormalization(momentum=0.9, **k),
}


@pytest.fixture(params=MAKERS.values(), ids=MAKERS.keys())
def make_layer(request):
    """Makes a layer of one kind, for images of 8 channels."""
    return request.param


@keras.saving.register_keras_serializable(package="tests")
class Subclassed(keras.Model):
    """A model as PyTorch people write it."""

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        self.layer = layer

    def build(self, input_shape):
        if not self.layer.built:
            self.layer.build(input_shape)

    def call(self, x):
        return self.layer(x)

    def get_config(self):
        return {"layer": keras.saving.serialize_keras_object(self.layer)}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config["layer"]))


def functional(layer):
    image = keras.Input((7, 6, 8))
    x = keras.layers.Conv2D(8, 1)(image)
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(layer(x)))


def sequential(layer):
    return keras.Sequential([keras.Input((7, 6, 8)), layer, keras.layers.Flatten()])


def subclassed(layer):
    model = Subclassed(layer)
    model.build((None, 7, 6, 8))
    return model


@pytest.fixture(params=[functional, sequential, subclassed], ids=lambda make: make.__name__)
def make_model(request):
    """Puts a layer into a model of one kind."""
    return request.param
