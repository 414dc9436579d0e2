"""Quantized layers compute what integer arithmetic does."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_bottleneck.quantization import quantize
from keras_bottleneck.quantization.kernels import (
    QuantizedConv2D,
    QuantizedConv2DTranspose,
    QuantizedDense,
    QuantizedDepthwiseConv2D,
    QuantizedKernel,
)

INPUT_STEP = 0.037
# The quantized layer, the stock one, and the arguments of both.
CASES = {
    "conv_valid": (QuantizedConv2D, layers.Conv2D, (5, 3), {}),
    "conv_same_strided": (QuantizedConv2D, layers.Conv2D, (5, 3, 2, "same"), {}),
    "conv_dilated": (QuantizedConv2D, layers.Conv2D, (5, 3), {"dilation_rate": 2}),
    "conv_grouped": (QuantizedConv2D, layers.Conv2D, (6, 3), {"groups": 2}),
    "conv_oblong": (QuantizedConv2D, layers.Conv2D, (5, (1, 4), (2, 3), "same"), {}),
    "depthwise_valid": (QuantizedDepthwiseConv2D, layers.DepthwiseConv2D, (3,), {}),
    "depthwise_strided": (
        QuantizedDepthwiseConv2D,
        layers.DepthwiseConv2D,
        (3, 2, "same"),
        {},
    ),
    "depthwise_dilated": (
        QuantizedDepthwiseConv2D,
        layers.DepthwiseConv2D,
        (3,),
        {"dilation_rate": 2, "padding": "same"},
    ),
    "transposed_valid": (QuantizedConv2DTranspose, layers.Conv2DTranspose, (5, 3, 2), {}),
    "transposed_same": (QuantizedConv2DTranspose, layers.Conv2DTranspose, (5, 3, 2, "same"), {}),
    "transposed_padded": (
        QuantizedConv2DTranspose,
        layers.Conv2DTranspose,
        (5, 3, 2, "same"),
        {"output_padding": 1},
    ),
    "dense_on_images": (QuantizedDense, layers.Dense, (5,), {}),
}


def numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def built(case, channels=4):
    """A quantized layer with random weights whose kernels are clipped, and the stock one."""
    quantized, stock, args, kwargs = CASES[case]
    generator = np.random.default_rng(3)
    layer, peer = quantized(*args, **kwargs), stock(*args, **kwargs)
    for one in (layer, peer):
        one.build((None, 9, 8, channels))
    layer.kernel.assign(generator.normal(size=layer.kernel.shape))
    layer.bias.assign(generator.normal(size=layer.bias.shape))
    layer.reach.assign(generator.uniform(0.8, 1.6, layer.reach.shape))
    return layer, peer


def codes_of(layer, step):
    """The integers of kernel and bias in float64, and the value of one of the outputs."""
    kernel = numpy(layer.kernel).astype("float64")
    reach = numpy(layer.reach).astype("float64")
    shape = [1] * kernel.ndim
    if layer.PER_CHANNEL:
        shape[layer.CHANNEL_AXIS] = -1
    kernel_codes = np.clip(np.rint(kernel / (reach / 127).reshape(shape)), -127, 127)
    out_step = step * reach / 127
    return kernel_codes, np.rint(numpy(layer.bias).astype("float64") / out_step), out_step


@pytest.mark.parametrize("case", CASES)
def test_the_layer_is_integer_arithmetic(case):
    layer, peer = built(case)
    codes = np.random.default_rng(1).integers(-100, 156, (2, 9, 8, 4)).astype("float32")
    kernel, bias, step = codes_of(layer, INPUT_STEP)
    # These sums are below 2**24: exact in float32.
    peer.set_weights([kernel, np.zeros(bias.shape)])
    sums = numpy(peer(codes)).astype("float64")
    assert np.abs(sums).max() < 2**24 and (sums == np.rint(sums)).all()
    expected = (sums + bias) * step
    found = numpy(layer(codes * np.float32(INPUT_STEP), np.float32(INPUT_STEP)))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("case", CASES)
def test_the_bias_is_on_its_own_grid(case):
    layer, _ = built(case)
    step = np.float32(0.9)
    found = numpy(layer.quantized_bias(step)).astype("float64")
    codes = found / (step * numpy(layer.kernel_step).astype("float64"))
    np.testing.assert_allclose(codes, np.rint(codes), atol=1e-3)
    np.testing.assert_array_equal(np.rint(codes), codes_of(layer, 0.9)[1])


def test_a_dense_layer_on_rows():
    layer = QuantizedDense(3)
    layer.build((None, 4))
    layer.kernel.assign(np.arange(12).reshape(4, 3) - 5.0)
    layer.reach.assign(127.0)
    layer.bias.assign([1.0, 2.4, -3.6])
    found = numpy(layer(np.ones((1, 4), "float32"), np.float32(1.0)))
    np.testing.assert_allclose(found, [[-1.0, 4.0, 2.0]], atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_full_reach_clips_nothing(case):
    layer, _ = built(case)
    layer.reach.assign(layer.full_reach(np.float32(INPUT_STEP)))
    found, kernel = numpy(layer.quantized_kernel()), numpy(layer.kernel)
    others = tuple(i for i in range(4) if i != layer.CHANNEL_AXIS % 4)[: kernel.ndim - 1]
    if layer.PER_CHANNEL:
        np.testing.assert_array_equal(numpy(layer.reach), np.abs(kernel).max(others))
    else:
        assert numpy(layer.reach) == np.abs(kernel).max()
    half = np.max(numpy(layer.kernel_step)) / 2
    assert np.abs(found - kernel).max() <= half * 1.001


@pytest.mark.parametrize("case", CASES)
def test_the_bias_of_a_dead_channel_fits_an_int32(case):
    layer, _ = built(case)
    kernel = numpy(layer.kernel) * 0
    if layer.PER_CHANNEL and layer.CHANNEL_AXIS != 2:
        kernel[..., 1] = 1.0
    layer.kernel.assign(kernel)
    layer.bias.assign(np.full(layer.bias.shape, 5.0))
    step = np.float32(1e-3)
    layer.reach.assign(layer.full_reach(step))
    codes = 5.0 / (1e-3 * np.broadcast_to(numpy(layer.kernel_step), (layer.bias.shape[0],)))
    assert codes.max() <= 2**30 * 1.0001
    np.testing.assert_allclose(numpy(layer.quantized_bias(step)), 5.0, rtol=1e-6)


def test_a_channel_without_kernel_and_bias_has_a_step():
    layer = QuantizedConv2D(2, 1)
    layer.build((None, 3, 3, 2))
    layer.kernel.assign(np.zeros((1, 1, 2, 2)))
    layer.reach.assign(layer.full_reach(np.float32(1.0)))
    assert (numpy(layer.reach) > 0).all()
    found = numpy(layer(np.ones((1, 3, 3, 2), "float32"), np.float32(1.0)))
    np.testing.assert_array_equal(found, np.zeros((1, 3, 3, 2)))


@pytest.mark.parametrize("case", CASES)
def test_a_layer_is_made_again_from_its_config(case):
    layer, _ = built(case)
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    again.build((None, 9, 8, 4))
    store = {}
    layer.save_own_variables(store)
    again.load_own_variables(store)
    for one, other in zip(layer.variables, again.variables, strict=True):
        np.testing.assert_array_equal(numpy(one), numpy(other), err_msg=one.path)
    x, step = np.ones((1, 9, 8, 4), "float32"), np.float32(INPUT_STEP)
    np.testing.assert_array_equal(numpy(again(x, step)), numpy(layer(x, step)))


@pytest.mark.slow
def test_a_model_of_all_four_is_saved_and_loaded_to_the_last_bit(photos, tmp_path, max_difference):
    image = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 3, activation="relu")(image)
    x = layers.Conv2DTranspose(4, 3, 2)(layers.DepthwiseConv2D(3, padding="same")(x))
    # On a feature map, a dense layer would become a convolution.
    x = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    model = quantize(keras.Model(image, x), photos)
    kernels = [layer for layer in model.layers if isinstance(layer, QuantizedKernel)]
    assert [type(one) for one in kernels] == [
        QuantizedConv2D,
        QuantizedDepthwiseConv2D,
        QuantizedConv2DTranspose,
        QuantizedDense,
    ]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert max_difference(loaded(photos[:4]), model(photos[:4])) == 0.0
    for one, other in zip(model.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(numpy(one), numpy(other), err_msg=one.path)


@pytest.mark.parametrize("case", CASES)
def test_the_spec_is_that_of_the_result(case):
    layer, _ = built(case)
    spec = layer(keras.Input((9, 8, 4)), keras.Input((), batch_size=1))
    found = layer(np.ones((1, 9, 8, 4), "float32"), np.float32(1.0))
    assert spec.shape[1:] == tuple(found.shape[1:])
