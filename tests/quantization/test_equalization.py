"""Equalization changes the kernels and not the function, and helps where it is needed."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_bottleneck.quantization import quantize
from keras_bottleneck.quantization.equalization import equalize_channels
from keras_bottleneck.quantization.placement import Placement
from keras_bottleneck.quantization.primitive import primitive


def mobile(activation="relu", width=16):
    """A network with a depthwise convolution in its middle."""
    image = keras.Input((6, 6, 3))
    x = layers.Conv2D(width, 3, padding="same", activation=activation, name="first")(image)
    x = layers.DepthwiseConv2D(3, padding="same", activation=activation, name="depth")(x)
    x = layers.Conv2D(8, 1, name="point")(x)
    return keras.Model(image, layers.Dense(5, name="top")(layers.GlobalAveragePooling2D()(x)))


def scaled(model, first, second, axis, scale):
    """`model` with the outputs of one layer scaled and the inputs of the next divided."""
    kernel, bias = model.get_layer(first).get_weights()
    shape = [1] * kernel.ndim
    shape[2 if kernel.shape[-1] == 1 else -1] = -1
    model.get_layer(first).set_weights([kernel * scale.reshape(shape), bias * scale])
    kernel, bias = model.get_layer(second).get_weights()
    shape = [1] * kernel.ndim
    shape[axis] = -1
    model.get_layer(second).set_weights([kernel / scale.reshape(shape), bias])
    return model


def lively(model):
    """`model` without channels that no image shows: their scales are anybody's guess."""
    kernel, bias = model.get_layer("depth").get_weights()
    model.get_layer("depth").set_weights([kernel, np.abs(bias) + 1.0])
    return model


def hostile(model, width=16):
    """The same function, as an adversary of per-tensor ranges would write it down."""
    generator = np.random.default_rng(5)
    scale = 10 ** generator.uniform(-2, 2, width)
    return scaled(model, "depth", "point", 2, generator.permutation(scale))


def equalized(model, images):
    placement = Placement(primitive(model))
    before = placement.model(images)
    kernels = [np.asarray(weight) for weight in placement.model.get_weights()]
    equalize_channels(placement, images)
    moved = [
        np.abs(old - new).max()
        for old, new in zip(kernels, placement.model.get_weights(), strict=True)
    ]
    return before, placement.model(images), max(moved)


def assert_same(before, after):
    change = np.abs(after - before).max() / np.abs(before).max()
    assert change <= 1e-5


@pytest.mark.parametrize("activation", ["relu", None])
@pytest.mark.parametrize("make", [lambda model: model, hostile], ids=["benign", "hostile"])
def test_the_function_stays(activation, make, photos, trained, as_array):
    before, after, moved = equalized(make(trained(mobile(activation))), photos)
    assert moved > 1e-3
    assert_same(as_array(before), as_array(after))


def test_the_function_stays_on_other_images(photos, trained, noise, as_array):
    placement = Placement(primitive(hostile(trained(mobile("relu")))))
    others = 10 * noise(20, 6, 6, 3, seed=8)
    before = as_array(placement.model(others))
    equalize_channels(placement, photos)
    assert_same(before, as_array(placement.model(others)))


@pytest.mark.parametrize("make", [lambda model: model, hostile], ids=["benign", "hostile"])
def test_no_value_that_was_seen_is_clipped_by_a_relu6(make, photos, trained, as_array):
    before, after, _ = equalized(make(trained(mobile("relu6"))), photos)
    assert_same(as_array(before), as_array(after))


@pytest.mark.parametrize(
    "pool",
    [lambda: layers.GlobalAveragePooling2D(keepdims=True), lambda: layers.AveragePooling2D(6)],
    ids=["global", "average"],
)
def test_a_relu6_before_a_pool_clips_what_it_clipped(pool, as_array):
    # Rare peaks of 6 in the first channel, whose mean is small: a scale that fits the mean would
    # push them over the edge.
    image = keras.Input((6, 6, 2))
    x = layers.DepthwiseConv2D(1, name="first")(image)
    model = keras.Model(image, layers.Conv2D(2, 1, name="second")(pool()(layers.ReLU(6.0)(x))))
    model.get_layer("first").set_weights([np.ones((1, 1, 2, 1)), np.zeros(2)])
    kernel = np.array([[[[10.0, -7.0], [0.1, 0.1]]]])
    model.get_layer("second").set_weights([kernel, np.zeros(2)])
    images = np.zeros((40, 6, 6, 2), "float32")
    images[:, 2, 3, 0] = np.linspace(0, 5.5, 40)
    images[..., 1] = 2.0
    before, after, _ = equalized(model, images)
    assert_same(as_array(before), as_array(after))


def test_a_hostile_network_is_restored(photos, trained, decibels):
    model = hostile(lively(trained(mobile("relu"))))
    exact = model(photos)
    with_it, without = (
        decibels(exact, quantize(model, photos, equalize=choice)(photos))
        for choice in (True, False)
    )
    assert with_it >= without + 15
    assert with_it > 25


def test_it_is_nearly_as_good_as_without_the_adversary(photos, trained, decibels):
    friendly = lively(trained(mobile("relu")))
    exact = friendly(photos)
    best = decibels(exact, quantize(friendly, photos)(photos))
    found = decibels(exact, quantize(hostile(friendly), photos)(photos))
    assert found >= best - 3


@pytest.mark.parametrize("activation", ["relu", "relu6", "swish", None])
def test_a_benign_network_is_not_harmed(activation, photos, trained, decibels):
    model = trained(mobile(activation))
    exact = model(photos)
    with_it, without = (
        decibels(exact, quantize(model, photos, equalize=choice)(photos))
        for choice in (True, False)
    )
    assert with_it >= without - 1


@pytest.mark.parametrize("first", ["conv", "depthwise", "transposed", "dense"])
@pytest.mark.parametrize("second", ["conv", "depthwise", "transposed", "dense"])
def test_every_pair_of_kernels_stays_the_function(first, second, photos, trained, as_array):
    make = {
        "conv": lambda name: layers.Conv2D(4, 2, name=name),
        "depthwise": lambda name: layers.DepthwiseConv2D(2, name=name),
        "transposed": lambda name: layers.Conv2DTranspose(4, 2, name=name),
        "dense": lambda name: layers.Dense(4, name=name),
    }
    image = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 1, activation="sigmoid", name="zero")(image)
    x = layers.MaxPooling2D()(layers.ReLU()(make[first]("one")(x)))
    model = trained(keras.Model(image, make[second]("two")(x)))
    scale = np.array([0.01, 1.0, 3.0, 100.0])
    axis = {"conv": 2, "depthwise": 2, "transposed": 3, "dense": 0}[second]
    shape = [1, 1, -1, 1] if first in ("depthwise", "transposed") else [-1]
    kernel, bias = model.get_layer("one").get_weights()
    # No channel is dead.
    bias = bias + np.abs(kernel).sum()
    model.get_layer("one").set_weights([kernel * scale.reshape(shape), bias * scale])
    kernel, bias = model.get_layer("two").get_weights()
    shape = [1] * kernel.ndim
    shape[axis] = -1
    model.get_layer("two").set_weights([kernel / scale.reshape(shape), bias])
    before, after, moved = equalized(model, photos[:20])
    before, after = as_array(before), as_array(after)
    assert moved > 1e-2
    assert np.abs(after - before).max() <= 1e-5 * np.abs(before).max()


@pytest.mark.parametrize("reader", ["add", "grouped", "flatten", "sigmoid", "output", "shared"])
def test_layers_that_cannot_be_scaled_are_left(reader, photos, trained):
    image = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 1, name="one")(image)
    last = layers.Conv2D(4, 1, name="two")
    if reader == "add":
        out = last(layers.Add()([x, keras.ops.sigmoid(x)]))
    elif reader == "grouped":
        out = layers.Conv2D(4, 1, groups=2)(x)
    elif reader == "flatten":
        out = layers.Dense(3)(layers.Flatten()(x))
    elif reader == "sigmoid":
        out = last(layers.Activation("sigmoid")(x))
    elif reader == "output":
        out = [x, last(x)]
    else:
        out = last(last(x))
    _, _, moved = equalized(trained(keras.Model(image, out)), photos[:10])
    assert moved == 0.0


def test_dead_channels_stay_dead_and_finite(photos, trained, as_array):
    model = trained(mobile("relu"))
    kernel, bias = model.get_layer("depth").get_weights()
    kernel[:, :, 3], bias[3] = 0.0, -1.0
    model.get_layer("depth").set_weights([kernel, bias])
    kernel, bias = model.get_layer("point").get_weights()
    kernel[:, :, 5] = 0.0
    model.get_layer("point").set_weights([kernel, bias])
    before, after, moved = equalized(model, photos)
    before, after = as_array(before), as_array(after)
    assert np.isfinite(moved)
    assert np.abs(after - before).max() <= 1e-5 * np.abs(before).max()
