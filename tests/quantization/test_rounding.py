"""Rounding for what a kernel computes beats rounding to the nearest code."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_bottleneck.quantization import quantize
from keras_bottleneck.quantization.kernels import QuantizedKernel
from keras_bottleneck.quantization.patches import patches
from keras_bottleneck.quantization.rounding import CLIPPING, adaptive_rounding, best_reach, fit


def correlated(inputs, samples=2000, seed=0):
    """Samples whose columns are mixtures of fewer sources, as neighbouring pixels are."""
    generator = np.random.default_rng(seed)
    sources = generator.normal(size=(samples, max(2, inputs // 3)))
    x = sources @ generator.normal(size=(sources.shape[1], inputs))
    x = x + 0.1 * generator.normal(size=x.shape)
    return x - x.mean(0)


def moments(x, y):
    return x.T @ x / len(x), x.T @ y / len(x)


def nearest(kernel, reach):
    step = reach / 127
    return np.clip(np.rint(kernel / step), -127, 127) * step


# Below and above the 64 columns that are carried on together.
@pytest.mark.parametrize("inputs", [9, 64, 65, 150])
def test_adaptive_rounding_beats_the_nearest_code(inputs):
    x = correlated(inputs)
    kernel = np.random.default_rng(1).normal(size=(inputs, 6))
    moment, _ = moments(x, x @ kernel)
    reach = np.abs(kernel).max(0)
    errors = [
        np.square(x @ kernel - x @ rounded).sum()
        for rounded in (adaptive_rounding(moment, kernel, reach), nearest(kernel, reach))
    ]
    assert errors[0] < 0.8 * errors[1]


@pytest.mark.parametrize("inputs", [9, 65])
def test_the_result_is_on_the_grid(inputs):
    kernel = np.random.default_rng(1).normal(size=(inputs, 6))
    reach = np.linspace(0.5, 3.0, 6)
    x = correlated(inputs)
    moment, _ = moments(x, x)
    codes = adaptive_rounding(moment, kernel, reach) / (reach / 127)
    np.testing.assert_allclose(codes, np.rint(codes), atol=1e-9)
    assert np.abs(codes).max() <= 127 + 1e-9
    assert len(np.unique(np.rint(codes))) > 20


def test_independent_inputs_have_nothing_to_make_up_for():
    kernel = np.random.default_rng(1).normal(size=(12, 5))
    reach = np.abs(kernel).max(0)
    found = adaptive_rounding(np.diag(np.linspace(1, 2, 12)), kernel, reach)
    np.testing.assert_allclose(found, nearest(kernel, reach), atol=1e-12)


def test_one_reach_for_all_outputs():
    x = correlated(9)
    kernel = np.random.default_rng(1).normal(size=(9, 4))
    moment, _ = moments(x, x)
    one = adaptive_rounding(moment, kernel, 2.0)
    np.testing.assert_array_equal(one, adaptive_rounding(moment, kernel, np.full(4, 2.0)))


@pytest.mark.parametrize("seed", range(3))
def test_the_best_reach_is_never_worse_than_the_full_one(seed):
    generator = np.random.default_rng(seed)
    kernel = generator.standard_t(3, size=(40, 50))
    moment = np.diag(generator.uniform(0, 4, 40))
    full, found = np.abs(kernel).max(0), best_reach(np.diag(moment)[:, None], kernel, CLIPPING)
    errors = [
        (np.diag(moment)[:, None] * (nearest(kernel, reach) - kernel) ** 2).sum(0)
        for reach in (found, full)
    ]
    assert (errors[0] <= errors[1]).all()
    assert (found >= 0.7 * full * (1 - 1e-12)).all() and (found <= full).all()


def test_a_weight_without_input_is_clipped():
    # The largest weights meet inputs without power: what they become does not matter.
    kernel = np.random.default_rng(0).uniform(-1, 1, size=(40, 3))
    kernel[7] = 1.5
    power = np.ones(40)
    power[7] = 0.0
    np.testing.assert_allclose(best_reach(power[:, None], kernel, CLIPPING), 1.5 * 0.7, rtol=0.05)
    power[7] = 100.0
    np.testing.assert_array_equal(best_reach(power[:, None], kernel, CLIPPING), 1.5)


def test_the_reach_of_nothing_is_above_zero():
    assert (best_reach(np.ones((3, 1)), np.zeros((3, 2)), CLIPPING) > 0).all()


def test_exact_inputs_give_the_kernel_back():
    x = correlated(12)
    kernel = np.random.default_rng(1).normal(size=(12, 5))
    np.testing.assert_allclose(fit(*moments(x, x @ kernel), kernel), kernel, atol=1e-9)


def test_a_fit_lowers_the_error_that_rounded_inputs_make():
    # Correlated inputs, of which one has lost its sign: others can stand in for it.
    x = correlated(12)
    kernel = np.random.default_rng(1).normal(size=(12, 5))
    rounded = x.copy()
    rounded[:, 0] = 0.0
    y = x @ kernel
    moment, cross = moments(rounded, y)
    fitted = fit(moment, cross, kernel)
    errors = [np.square(rounded @ one - y).sum() for one in (fitted, kernel)]
    assert errors[0] < 0.8 * errors[1]


def test_inputs_that_never_differ_leave_the_kernel():
    kernel = np.random.default_rng(1).normal(size=(5, 2))
    np.testing.assert_allclose(fit(np.zeros((5, 5)), np.zeros((5, 2)), kernel), kernel)


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Conv2D(5, 3),
        lambda: layers.Conv2D(5, 3, 2, "same"),
        lambda: layers.Conv2D(5, (2, 3), (3, 2), "same"),
        lambda: layers.Conv2D(5, 3, dilation_rate=2, padding="same"),
        lambda: layers.Conv2D(5, 4, padding="same"),
        lambda: layers.Dense(5),
    ],
    ids=["valid", "strided", "oblong", "dilated", "even", "dense"],
)
def test_patches_times_the_kernel_are_the_layer(make, noise, as_array):
    layer, x = make(), noise(2, 7, 8, 3)
    expected = as_array(layer(x))
    kernel = as_array(layer.kernel).reshape(-1, 5)
    seen = patches(layer, x).astype("float64")
    found = seen.reshape(len(seen), -1) @ kernel
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
def test_patches_of_a_depthwise_convolution(stride, noise, as_array):
    layer, x = layers.DepthwiseConv2D(3, stride, "same"), noise(2, 7, 7, 3)
    expected = as_array(layer(x))
    kernel = as_array(layer.kernel).reshape(1, 9, 3)
    found = (patches(layer, x) * kernel).sum(1)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-5)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(4)
    image = keras.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    x = layers.Conv2D(8, 3, groups=2, activation="relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
    x = layers.Conv2DTranspose(6, 3)(x)
    return keras.Model(image, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)))


@pytest.fixture(scope="module")
def smooth():
    """Images whose pixels resemble their neighbours, as photographs do."""
    fine = np.random.default_rng(2).normal(size=(100, 3, 3, 3)).astype("float32")
    return fine.repeat(2, 1).repeat(2, 2)


def test_adaptive_kernels_are_on_their_grids(network, smooth, as_array):
    model = quantize(network, smooth, rounding="adaptive")
    kernels = [layer for layer in model.layers if isinstance(layer, QuantizedKernel)]
    assert len(kernels) == 5
    for layer in kernels[:3]:
        found, kept = as_array(layer.quantized_kernel()), as_array(layer.kernel)
        np.testing.assert_allclose(found, kept, atol=1e-5 * np.abs(kept).max())


@pytest.mark.slow
def test_adaptive_rounding_is_no_worse_on_other_images(network, smooth, noise, decibels):
    others = noise(50, 3, 3, 3, seed=9).repeat(2, 1).repeat(2, 2)
    exact = network(others)
    adaptive, near = (
        decibels(exact, quantize(network, smooth, rounding=choice)(others))
        for choice in ("adaptive", "nearest")
    )
    assert adaptive >= near - 0.5
