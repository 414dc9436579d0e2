import keras
import numpy as np
import pytest
from keras import layers

from keras_bottleneck.graph.transposed import computable


def by_hand(x, kernel, strides, rates):
    """A transposed convolution without padding, tap by tap."""
    high, wide, outputs, _ = kernel.shape
    sizes = [
        (side - 1) * stride + (taps - 1) * rate + 1
        for side, taps, stride, rate in zip(x.shape[1:3], (high, wide), strides, rates, strict=True)
    ]
    y = np.zeros((len(x), *sizes, outputs))
    for i in range(high):
        for j in range(wide):
            rows = slice(i * rates[0], i * rates[0] + (x.shape[1] - 1) * strides[0] + 1, strides[0])
            cols = slice(j * rates[1], j * rates[1] + (x.shape[2] - 1) * strides[1] + 1, strides[1])
            y[:, rows, cols] += x @ kernel[i, j].T
    return y


@pytest.mark.parametrize("rates", [(2, 2), (1, 3), (3, 2)])
def test_a_dilated_kernel_written_out(rates):
    image = keras.Input((5, 6, 3))
    layer = layers.Conv2DTranspose(4, (3, 2), dilation_rate=rates, name="up")
    model = keras.Model(image, layer(image), name="dilated")
    layer.bias.assign(np.arange(4.0))
    plain = computable(model)
    copy = plain.get_layer("up")
    assert copy.dilation_rate == (1, 1)
    assert plain.output_shape == model.output_shape
    x = np.random.default_rng(0).normal(size=(2, 5, 6, 3)).astype(np.float32)
    kernel, bias = layer.get_weights()
    expected = by_hand(x, kernel, (1, 1), rates) + bias
    np.testing.assert_allclose(plain.predict(x, verbose=0), expected, atol=1e-5)
    assert layer.dilation_rate == rates


def test_others_are_left_alone():
    image = keras.Input((5, 6, 3))
    model = keras.Model(image, layers.Conv2DTranspose(4, 3, strides=2)(image))
    assert computable(model) is model


@pytest.mark.parametrize("extra", [0, (0, 1)])
def test_what_tensorflow_does_not_compute_is_refused(extra):
    if keras.config.backend() != "tensorflow":
        pytest.skip("the other backends compute it")
    image = keras.Input((5, 6, 3))
    layer = layers.Conv2DTranspose(
        4, 2, strides=3, padding="same", output_padding=extra, name="cut"
    )
    model = keras.Model(image, layer(image), name="short")
    with pytest.raises(ValueError, match="Received: model='short' with layer 'cut'"):
        computable(model)
