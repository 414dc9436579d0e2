"""Each block against the paper's formula in float64, written out with loops over the kernel."""

import keras
import numpy as np
import pytest

from keras_bottleneck import keras_private
from keras_bottleneck.layers import (
    AsymmetricConv2D,
    BasicBlock,
    Bottleneck,
    ConvNormAct,
    CSPLayer,
    DarknetBottleneck,
    FactorizedConvNormAct,
    InvertedResidual,
    RepVGGBlock,
    SeparableConvNormAct,
    SqueezeExcite,
)


def pad(x, before, after):
    return np.pad(x, [(0, 0), (before, after), (before, after), (0, 0)])


def same(x, kernel_size, stride):
    """TensorFlow's rule: as much as the last window needs, the odd pixel at the end."""
    total = max((-(-x.shape[1] // stride) - 1) * stride + kernel_size - x.shape[1], 0)
    return pad(x, total // 2, total - total // 2)


def conv(x, kernel, stride=1, groups=1):
    """Valid convolution; a group of outputs sees its own group of inputs."""
    side, _, group_inputs, outputs = kernel.shape
    height, width = ((size - side) // stride + 1 for size in x.shape[1:3])
    y = np.zeros((len(x), height, width, outputs))
    for row, column, output in np.ndindex(side, side, outputs):
        window = x[:, row:, column:][:, ::stride, ::stride][:, :height, :width]
        first = output // (outputs // groups) * group_inputs
        seen = window[..., first : first + group_inputs]
        y[..., output] += seen @ kernel[row, column, :, output]
    return y


def depthwise(x, kernel, stride=1):
    kernel = np.moveaxis(kernel, 3, 2)
    return conv(x, kernel, stride, groups=x.shape[-1])


class Weights:
    """The weights of a block's layers in float64, by the end of the layer's name."""

    def __init__(self, block, as_array):
        layers = [block, *keras_private.sublayers(block)]
        named = {layer.name.removeprefix(f"{block.name}_"): layer for layer in layers}
        self.arrays = {
            name: [as_array(weight) for weight in layer.weights] for name, layer in named.items()
        }
        self.epsilon = block.epsilon

    def __getitem__(self, name):
        return self.arrays[name][0]

    def norm(self, x, name):
        gamma, beta, mean, variance = self.arrays[name]
        return (x - mean) / np.sqrt(variance + self.epsilon) * gamma + beta


def relu(x, top=np.inf):
    return np.clip(x, 0, top)


def assert_equal(block, x, expected):
    np.testing.assert_allclose(keras.ops.convert_to_numpy(block(x)), expected, atol=1e-5)


@pytest.fixture
def prepare(noise, trained, as_array):
    """Builds a block with trained weights: returns (input in float64, weights)."""

    def build(block, *shape):
        x = noise(*shape)
        block(x)
        return x.astype("float64"), Weights(trained(block), as_array)

    return build


@pytest.mark.parametrize("stride_on", ["3x3", "1x1"])
@pytest.mark.parametrize("groups", [1, 2])
def test_bottleneck(stride_on, groups, prepare):
    block = Bottleneck(4, 2, groups=groups, stride_on=stride_on)
    x, w = prepare(block, 2, 7, 7, 6)
    first, second = (2, 1) if stride_on == "1x1" else (1, 2)
    y = relu(w.norm(conv(x, w["reduce_conv"], first), "reduce_bn"))
    y = relu(w.norm(conv(pad(y, 1, 1), w["spatial_conv"], second, groups), "spatial_bn"))
    y = w.norm(conv(y, w["expand_conv"]), "expand_bn")
    shortcut = w.norm(conv(x, w["shortcut_conv"], 2), "shortcut_bn")
    assert_equal(block, x, relu(y + shortcut))


def test_basic_block(prepare):
    block = BasicBlock(6)
    x, w = prepare(block, 2, 5, 5, 6)
    y = relu(w.norm(conv(pad(x, 1, 1), w["first_conv"]), "first_bn"))
    y = w.norm(conv(pad(y, 1, 1), w["second_conv"]), "second_bn")
    assert_equal(block, x, relu(y + x))


@pytest.mark.parametrize("size", [5, 6])
@pytest.mark.parametrize(("stride", "expansion"), [(1, 1), (1, 6), (2, 1), (2, 6)])
def test_inverted_residual(size, stride, expansion, prepare):
    block = InvertedResidual(4, stride, expansion)
    x, w = prepare(block, 2, size, size, 4)
    y = x
    if expansion == 6:
        y = relu(w.norm(conv(x, w["expand_conv"]), "expand_bn"), 6)
    y = depthwise(same(y, 3, stride), w["depthwise_conv"], stride)
    y = relu(w.norm(y, "depthwise_bn"), 6)
    y = w.norm(conv(y, w["project_conv"]), "project_bn")
    assert_equal(block, x, y + x if stride == 1 else y)


def test_an_inverted_residual_of_other_channels_adds_nothing(prepare):
    block = InvertedResidual(5, expansion=1)
    x, w = prepare(block, 2, 5, 5, 4)
    y = relu(w.norm(depthwise(pad(x, 1, 1), w["depthwise_conv"]), "depthwise_bn"), 6)
    assert_equal(block, x, w.norm(conv(y, w["project_conv"]), "project_bn"))


@pytest.mark.parametrize("stride", [1, 2])
def test_asymmetric_conv(stride, prepare):
    block = AsymmetricConv2D(3, 3, stride, activation="relu")
    x, w = prepare(block, 2, 7, 6, 4)
    padded, row, column = pad(x, 1, 1), np.zeros((3, 3, 4, 3)), np.zeros((3, 3, 4, 3))
    row[1:2], column[:, 1:2] = w["row_conv"], w["column_conv"]
    kernels = {"square": w["square_conv"], "row": row, "column": column}
    terms = [w.norm(conv(padded, one, stride), f"{name}_bn") for name, one in kernels.items()]
    assert_equal(block, x, relu(sum(terms)))


@pytest.mark.parametrize(("stride", "channels"), [(1, 4), (1, 3), (2, 4)])
def test_repvgg_block(stride, channels, prepare):
    block = RepVGGBlock(4, stride)
    x, w = prepare(block, 2, 7, 6, channels)
    y = w.norm(conv(pad(x, 1, 1), w["spatial_conv"], stride), "spatial_bn")
    y += w.norm(conv(x, w["point_conv"], stride), "point_bn")
    if stride == 1 and channels == 4:
        y += w.norm(x, "identity_bn")
    assert_equal(block, x, relu(y))
    assert ("identity_bn" in w.arrays) == (stride == 1 and channels == 4)


@pytest.mark.parametrize("stride", [1, 2])
def test_separable_conv(stride, prepare):
    layer = SeparableConvNormAct(3, 3, stride, activation=None)
    x, w = prepare(layer, 2, 7, 6, 4)
    y = relu(w.norm(depthwise(pad(x, 1, 1), w["depthwise_conv"], stride), "depthwise_bn"))
    assert_equal(layer, x, w.norm(conv(y, w["point_conv"]), "point_bn"))


@pytest.mark.parametrize("stride", [1, 2])
def test_factorized_conv(stride, prepare):
    layer = FactorizedConvNormAct(3, 3, stride)
    x, w = prepare(layer, 2, 7, 6, 4)
    column, row = np.zeros((3, 3, 4, 3)), np.zeros((3, 3, 3, 3))
    column[:, 1:2], row[1:2] = w["column_conv"], w["row_conv"]
    # Each has the stride of its own axis.
    y = relu(w.norm(conv(pad(x, 1, 1), column)[:, ::stride], "column_bn"))
    y = relu(w.norm(conv(pad(y, 1, 1), row)[:, :, ::stride], "row_bn"))
    assert_equal(layer, x, y)


def silu(x):
    return x / (1 + np.exp(-x))


def darknet(x, w, name="", stride=1, groups=1):
    y = silu(w.norm(conv(x, w[f"{name}reduce_conv"]), f"{name}reduce_bn"))
    y = conv(pad(y, 1, 1), w[f"{name}spatial_conv"], stride, groups)
    return silu(w.norm(y, f"{name}spatial_bn"))


@pytest.mark.parametrize(
    ("stride", "channels", "shortcut"),
    [(1, 4, "identity"), (1, 4, "none"), (1, 6, "identity"), (2, 4, "identity")],
)
def test_darknet_bottleneck(stride, channels, shortcut, prepare):
    block = DarknetBottleneck(4, stride, groups=2, shortcut=shortcut)
    x, w = prepare(block, 2, 7, 6, channels)
    y = darknet(x, w, stride=stride, groups=2)
    adds = (stride, channels, shortcut) == (1, 4, "identity")
    assert_equal(block, x, y + x if adds else y)


@pytest.mark.parametrize("shortcut", ["identity", "none"])
def test_csp_layer(shortcut, prepare):
    block = CSPLayer(6, blocks=2, shortcut=shortcut)
    x, w = prepare(block, 2, 5, 6, 4)
    y = silu(w.norm(conv(x, w["enter_conv"]), "enter_bn"))
    for name in ("bottleneck1_", "bottleneck2_"):
        y = darknet(y, w, name) + (y if shortcut == "identity" else 0)
    y = np.concatenate([y, silu(w.norm(conv(x, w["bypass_conv"]), "bypass_bn"))], axis=-1)
    assert_equal(block, x, silu(w.norm(conv(y, w["merge_conv"]), "merge_bn")))


def gate(x, reduce, expand):
    (reduce_kernel, reduce_bias), (expand_kernel, expand_bias) = reduce, expand
    squeezed = x.mean((1, 2), keepdims=True)
    weight = relu(squeezed @ reduce_kernel[0, 0] + reduce_bias) @ expand_kernel[0, 0]
    return x / (1 + np.exp(-weight - expand_bias))


def test_squeeze_excite(noise, trained, as_array):
    layer, x = SqueezeExcite(0.25), noise(2, 5, 6, 8)
    layer(x)
    trained(layer)
    reduce = [as_array(weight) for weight in layer.reduce.weights]
    expand = [as_array(weight) for weight in layer.expand.weights]
    assert reduce[0].shape == (1, 1, 8, 2)
    assert_equal(layer, x, gate(x.astype("float64"), reduce, expand))


def test_squeeze_excite_ends_the_branch_of_a_basic_block(prepare):
    block = BasicBlock(6, se_ratio=0.5)
    x, w = prepare(block, 2, 5, 5, 6)
    y = relu(w.norm(conv(pad(x, 1, 1), w["first_conv"]), "first_bn"))
    y = w.norm(conv(pad(y, 1, 1), w["second_conv"]), "second_bn")
    y = gate(y, w.arrays["se_reduce"], w.arrays["se_expand"])
    assert_equal(block, x, relu(y + x))


def test_squeeze_excite_of_an_inverted_residual_is_before_the_projection(prepare):
    block = InvertedResidual(4, expansion=2, se_ratio=0.25)
    x, w = prepare(block, 2, 5, 5, 4)
    y = relu(w.norm(conv(x, w["expand_conv"]), "expand_bn"), 6)
    y = relu(w.norm(depthwise(pad(y, 1, 1), w["depthwise_conv"]), "depthwise_bn"), 6)
    y = gate(y, w.arrays["se_reduce"], w.arrays["se_expand"])
    assert_equal(block, x, w.norm(conv(y, w["project_conv"]), "project_bn") + x)


@pytest.mark.parametrize("size", [1, 2, 5, 8, 9])
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", ["symmetric", "same"])
def test_padding(size, kernel_size, stride, padding, prepare):
    layer = ConvNormAct(2, kernel_size, stride, padding=padding, activation=None)
    x, w = prepare(layer, 1, size, size, 2)
    half = kernel_size // 2
    padded = pad(x, half, half) if padding == "symmetric" else same(x, kernel_size, stride)
    assert_equal(layer, x, w.norm(conv(padded, w["conv"], stride), "bn"))
    assert layer.compute_output_shape(x.shape) == layer(x).shape


@pytest.mark.parametrize(("kernel_size", "dilation"), [(2, 2), (3, 2), (3, 3), (4, 2), (5, 2)])
def test_symmetric_padding_of_a_dilated_kernel(kernel_size, dilation, prepare):
    layer = ConvNormAct(2, kernel_size, dilation=dilation, activation=None)
    x, w = prepare(layer, 1, 9, 9, 2)
    side = dilation * (kernel_size - 1) + 1
    kernel = np.zeros((side, side, 2, 2))
    kernel[::dilation, ::dilation] = w["conv"]
    half = dilation * (kernel_size // 2)
    assert_equal(layer, x, w.norm(conv(pad(x, half, half), kernel), "bn"))
    assert layer.compute_output_shape(x.shape) == layer(x).shape


def test_a_symmetric_odd_kernel_needs_no_padding_layer():
    assert ConvNormAct(2, 3).pad is None
    assert ConvNormAct(2, 3, 2).pad is not None
