import keras
import numpy as np
import pytest

from keras_bottleneck import keras_private
from keras_bottleneck.layers import BasicBlock, BatchNormalization, Bottleneck, Residual


def kinds_inside(block):
    return [type(layer).__name__ for layer in keras_private.sublayers(block)]


@pytest.mark.parametrize("shortcut", ["projection", "pad", "pool", "identity"])
def test_equal_shapes_are_added_as_they_are(shortcut, noise, max_difference):
    block, x = BasicBlock(4, shortcut=shortcut), noise(2, 5, 5, 4)
    y = block(x)
    assert block.shortcut_path is None
    expected = keras.ops.relu(keras.ops.add(block.branch(x), x))
    assert max_difference(y, expected) == 0.0


@pytest.mark.parametrize(("stride", "channels"), [(2, 4), (1, 5), (3, 9)])
def test_identity_of_other_shapes_is_an_error_that_names_both(stride, channels):
    block = BasicBlock(4, stride, shortcut="identity", name="block")
    with pytest.raises(ValueError) as error:
        block(keras.Input((8, 8, channels)))
    message = str(error.value)
    assert message.startswith("`shortcut` 'identity' of 'block' needs equal shapes. Received: ")
    assert f"(height, width, {channels})" in message
    assert f"(height / {stride}, width / {stride}, 4)" in message


@pytest.mark.parametrize("size", [1, 4, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_pad_samples_pixels_and_adds_zero_channels(size, stride, noise, as_array):
    block, x = BasicBlock(9, stride, shortcut="pad"), noise(2, size, size, 4)
    block(x)
    assert block.shortcut_path.weights == []
    shortcut = as_array(block.shortcut_path(x))
    expected = np.pad(x[:, ::stride, ::stride], [(0, 0), (0, 0), (0, 0), (2, 3)])
    np.testing.assert_array_equal(shortcut, expected)


def test_pad_cannot_remove_channels():
    block = BasicBlock(4, shortcut="pad", name="block")
    with pytest.raises(ValueError, match="'pad' of 'block' .* Received: 8 input channels, 4"):
        block(keras.Input((8, 8, 8)))


@pytest.mark.parametrize("size", [1, 2, 5, 6, 7])
@pytest.mark.parametrize("stride", [2, 3])
def test_pool_averages_the_real_pixels_of_each_window(size, stride, noise, as_array):
    block, x = BasicBlock(6, stride, shortcut="pool"), noise(2, size, size, 4)
    block(x)
    outputs = -(-size // stride)
    # TensorFlow's "same": the missing pixels are split, the odd one at the end.
    before = (outputs * stride - size) // 2
    edges = [
        np.clip([i * stride - before, (i + 1) * stride - before], 0, size) for i in range(outputs)
    ]
    expected = np.zeros((2, outputs, outputs, 4))
    for row, column in np.ndindex(outputs, outputs):
        (top, bottom), (left, right) = edges[row], edges[column]
        expected[:, row, column] = x[:, top:bottom, left:right].mean((1, 2))
    pooled = as_array(block.shortcut_path.pool(x))
    np.testing.assert_allclose(pooled, expected, atol=1e-6)


def test_pool_projects_with_a_1x1_convolution_of_stride_1(noise, max_difference):
    block, x = Bottleneck(2, 2, shortcut="pool"), noise(2, 6, 6, 4)
    block(x)
    path = block.shortcut_path
    assert path.project.conv.kernel.shape == (1, 1, 4, 8)
    assert path.project.conv.strides == (1, 1)
    assert max_difference(path(x), path.project(path.pool(x))) == 0.0


def test_pool_without_a_stride_only_projects(noise):
    block = BasicBlock(6, shortcut="pool")
    block(noise(1, 4, 4, 3))
    assert block.shortcut_path.pool is None


def test_projection_carries_the_stride_and_has_no_activation(noise):
    block = BasicBlock(6, 2)
    block(noise(1, 8, 8, 4))
    assert block.shortcut_path.conv.kernel.shape == (1, 1, 4, 6)
    assert block.shortcut_path.conv.strides == (2, 2)
    assert block.shortcut_path.act is None


def test_none_is_a_plain_network(noise, max_difference):
    block, x = BasicBlock(6, 2, shortcut="none", drop_path=0.5), noise(2, 8, 8, 4)
    y = block(x)
    assert not {"Add", "DropPath", "PadShortcut"} & set(kinds_inside(block))
    assert max_difference(y, keras.ops.relu(block.branch(x))) == 0.0


def test_zero_init_residual_starts_as_the_shortcut(noise, max_difference):
    x = abs(noise(2, 5, 5, 4))
    assert max_difference(BasicBlock(4, zero_init_residual=True)(x), x) == 0.0
    assert max_difference(BasicBlock(4)(x), x) > 0.0


def test_each_place_has_a_copy_of_the_given_activation():
    given = keras.layers.PReLU(shared_axes=[1, 2])
    block = BasicBlock(4, activation=given)
    block(keras.Input((5, 5, 4)))
    slopes = [weight.path for weight in block.weights if weight.name == "alpha"]
    assert len(slopes) == len(set(slopes)) == 2
    assert not given.built


def test_residual_is_the_sum(noise, max_difference):
    conv, x = keras.layers.Conv2D(4, 3, padding="same"), noise(2, 5, 5, 4)
    assert max_difference(Residual(conv)(x), conv(x) + x) == 0.0
    assert max_difference(Residual([conv], "relu")(x), keras.ops.relu(conv(x) + x)) == 0.0


def test_residual_around_anything_that_keeps_the_shape(noise, max_difference):
    inner = Residual([keras.layers.Dense(6), BatchNormalization()])
    outer, x = Residual([inner, keras.layers.Dense(6)]), noise(3, 6)
    assert max_difference(outer(x), outer.layers[1](inner(x)) + x) <= 1e-6


def test_residual_of_other_shapes_is_an_error_that_prints_both():
    layer = Residual(keras.layers.Conv2D(6, 3, 2, padding="same"), name="res")
    with pytest.raises(ValueError) as error:
        layer(keras.Input((8, 8, 4), batch_size=2))
    assert "input (2, 8, 8, 4), output of layers (2, 4, 4, 6)" in str(error.value)
    assert str(error.value).startswith("`layers` of 'res' must leave the input's shape unchanged")
