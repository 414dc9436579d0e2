"""A wrong argument is one sentence: its name, what is accepted, what was received."""

import keras
import pytest

from keras_bottleneck import layers

CASES = {
    "filters zero": (lambda: layers.ConvNormAct(0), "filters"),
    "filters float": (lambda: layers.ConvNormAct(8.0), "filters"),
    "filters bool": (lambda: layers.BasicBlock(True), "filters"),
    "filters None": (lambda: layers.Bottleneck(None), "filters"),
    "kernel_size": (lambda: layers.ConvNormAct(8, "3"), "kernel_size"),
    "kernel_size triple": (lambda: layers.ConvNormAct(8, (3, 3, 3)), "kernel_size"),
    "stride zero": (lambda: layers.ConvNormAct(8, 3, (1, 0)), "stride"),
    "depthwise stride": (lambda: layers.ConvNormAct(None, 3, (1, 2)), "stride"),
    "asymmetric kernel_size": (lambda: layers.AsymmetricConv2D(8, 4), "kernel_size"),
    "asymmetric kernel_size pair": (lambda: layers.AsymmetricConv2D(8, (3, 1)), "kernel_size"),
    "asymmetric groups": (lambda: layers.AsymmetricConv2D(8, groups=3), "groups"),
    "repvgg filters": (lambda: layers.RepVGGBlock(0), "filters"),
    "repvgg stride": (lambda: layers.RepVGGBlock(8, (2, 2)), "stride"),
    "repvgg dilation": (lambda: layers.RepVGGBlock(8, 2, dilation=2), "dilation"),
    "repvgg activation": (lambda: layers.RepVGGBlock(8, activation="rely"), "activation"),
    "even kernel_size": (lambda: layers.InvertedResidual(8, kernel_size=4), "kernel_size"),
    "stride": (lambda: layers.BasicBlock(8, 0), "stride"),
    "groups": (lambda: layers.ConvNormAct(8, groups=3), "groups"),
    "depthwise groups": (lambda: layers.ConvNormAct(None, groups=2), "groups"),
    "dilation": (lambda: layers.ConvNormAct(8, 3, 2, dilation=2), "dilation"),
    "padding": (lambda: layers.ConvNormAct(8, padding="valid"), "padding"),
    "block padding": (lambda: layers.InvertedResidual(8, padding="SAME"), "padding"),
    "activation": (lambda: layers.ConvNormAct(8, activation="rellu"), "activation"),
    "activation class": (lambda: layers.BasicBlock(8, activation=keras.layers.ReLU), "activation"),
    "activation number": (lambda: layers.BasicBlock(8, activation=6), "activation"),
    "residual activation": (lambda: layers.Residual([], "x"), "layers"),
    "use_bias": (lambda: layers.ConvNormAct(8, use_bias=1), "use_bias"),
    "epsilon": (lambda: layers.ConvNormAct(8, epsilon=0), "epsilon"),
    "momentum": (lambda: layers.BasicBlock(8, momentum=1.1), "momentum"),
    "shortcut": (lambda: layers.BasicBlock(8, shortcut="project"), "shortcut"),
    "drop_path": (lambda: layers.BasicBlock(8, drop_path=1), "drop_path"),
    "se_ratio": (lambda: layers.BasicBlock(8, se_ratio=-0.1), "se_ratio"),
    "zero_init_residual": (
        lambda: layers.BasicBlock(8, zero_init_residual=0),
        "zero_init_residual",
    ),
    "expansion": (lambda: layers.InvertedResidual(8, expansion=0), "expansion"),
    "base_width": (lambda: layers.Bottleneck(8, base_width="64"), "base_width"),
    "stride_on": (lambda: layers.Bottleneck(8, stride_on=1), "stride_on"),
    "conv": (lambda: layers.BasicBlock(8, conv="seperable"), "conv"),
    "blurred conv": (
        lambda: layers.BasicBlock(8, conv="separable", antialias=True),
        "antialias",
    ),
    "preactivated conv": (
        lambda: layers.PreactivationBasicBlock(8, conv="separable"),
        "conv",
    ),
    "inverted conv": (lambda: layers.InvertedResidual(8, conv="separable"), "conv"),
    "pair kernel_size": (lambda: layers.SeparableConvNormAct(8, 2), "kernel_size"),
    "pair stride": (lambda: layers.FactorizedConvNormAct(8, 3, (1, 2)), "stride"),
    "pair dilation": (lambda: layers.FactorizedConvNormAct(8, 3, 2, dilation=2), "dilation"),
    "pair filters": (lambda: layers.SeparableConvNormAct(None), "filters"),
    "inner_activation": (
        lambda: layers.FactorizedConvNormAct(8, inner_activation="rely"),
        "inner_activation",
    ),
    "darknet shortcut": (lambda: layers.DarknetBottleneck(8, shortcut=True), "shortcut"),
    "darknet expansion": (lambda: layers.DarknetBottleneck(8, expansion=0), "expansion"),
    "darknet zero_init": (
        lambda: layers.DarknetBottleneck(8, zero_init_residual=True),
        "zero_init_residual",
    ),
    "csp filters": (lambda: layers.CSPLayer(8.0), "filters"),
    "csp blocks": (lambda: layers.CSPLayer(8, 0), "blocks"),
    "csp expansion": (lambda: layers.CSPLayer(8, expansion=0.1), "expansion"),
    "csp shortcut": (lambda: layers.CSPLayer(8, shortcut="projection"), "shortcut"),
    "csp groups": (lambda: layers.CSPLayer(8, groups=3), "groups"),
    "ratio": (lambda: layers.SqueezeExcite(0), "ratio"),
    "gate": (lambda: layers.SqueezeExcite(gate="sigmod"), "gate"),
    "layers": (lambda: layers.Residual("conv"), "layers"),
    "layers item": (lambda: layers.Residual([lambda x: x]), "layers"),
}


@pytest.mark.parametrize(("make", "name"), CASES.values(), ids=CASES.keys())
def test_the_constructor_names_the_argument(make, name):
    with pytest.raises(ValueError) as error:
        make()
    message = str(error.value)
    assert message.startswith(f"`{name}` must be ")
    assert f". Received: {name}=" in message
    assert "\n" not in message


IMAGE = (8, 8, 6)
BUILDS = {
    "no image": (lambda: layers.BasicBlock(8), (8, 6), "`input_shape` of BasicBlock"),
    "no channels": (lambda: layers.ConvNormAct(8), (8, 8, None), "`input_shape` of ConvNormAct"),
    "volume": (lambda: layers.SqueezeExcite(), (8, 8, 8, 6), "`input_shape` of SqueezeExcite"),
    "groups": (lambda: layers.ConvNormAct(8, groups=4), IMAGE, "`groups` must be a divisor of"),
    "base_width": (lambda: layers.Bottleneck(8, base_width=1), IMAGE, "`base_width` must be"),
    "expansion": (
        lambda: layers.DarknetBottleneck(8, expansion=0.1),
        IMAGE,
        "`expansion` must be",
    ),
    "branches": (lambda: layers.RepVGGBlock(8), (8, 6), "`input_shape` of RepVGGBlock"),
    "branch groups": (lambda: layers.AsymmetricConv2D(8, groups=4), IMAGE, "`groups` must be a"),
}


@pytest.mark.parametrize(("make", "shape", "start"), BUILDS.values(), ids=BUILDS.keys())
def test_a_wrong_input_is_named_when_the_layer_is_built(make, shape, start):
    with pytest.raises(ValueError) as error:
        make()(keras.Input(shape))
    message = str(error.value)
    assert message.startswith(start)
    assert ". Received: " in message
    assert "\n" not in message


@pytest.mark.parametrize("shape", [(None, 8, 6), (None, 8, 8, None)])
def test_the_shape_of_no_image_is_an_error_before_building_too(shape):
    with pytest.raises(ValueError, match="^`input_shape` of BasicBlock"):
        layers.BasicBlock(8).compute_output_shape(shape)


def test_channels_first_images_are_refused():
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match=r"^`image_data_format` must be 'channels_last'.*Rec"):
            layers.BasicBlock(8)
    finally:
        keras.config.set_image_data_format("channels_last")
