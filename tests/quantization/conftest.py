"""What the tests of `quantization` share; see also the folder above."""

import keras
import numpy as np
import pytest

from keras_bottleneck import keras_private


@pytest.fixture(scope="session")
def photos(noise):
    """A hundred images (6, 6, 3): enough for `quantize` not to warn."""
    return noise(100, 6, 6, 3, seed=11)


@pytest.fixture(scope="session")
def decibels(as_array):
    """A function: the ratio of the power of one tensor to that of its difference from another."""

    def compare(exact, rounded):
        exact, rounded = as_array(exact), as_array(rounded)
        error = np.square(exact - rounded).sum()
        return float(10 * np.log10(np.square(exact).sum() / max(error, 1e-30)))

    return compare


@pytest.fixture(scope="session")
def gradient():
    """A function: the gradient of the sum of a function, on the backend in use."""

    def differentiate(function, value):
        if keras.config.backend() == "tensorflow":
            import tensorflow as tf

            value = tf.constant(value)
            with tf.GradientTape() as tape:
                tape.watch(value)
                total = tf.reduce_sum(function(value))
            return tape.gradient(total, value).numpy()
        if keras.config.backend() == "jax":
            import jax

            return np.asarray(jax.grad(lambda x: function(x).sum())(value))
        pytest.skip("the test takes gradients on TensorFlow and JAX")

    return differentiate


@pytest.fixture(scope="session")
def kinds():
    """A function: the kinds of the layers of a model in the order of their calls."""

    def list_kinds(model):
        return [type(call.operation).__name__ for call in keras_private.calls(model)]

    return list_kinds
