"""What makes building quick changes neither the numbers' distribution, nor names, nor files."""

import keras
import numpy as np
import pytest

from keras_bottleneck.construction import PAIRS, HeNormal, normal, quick_variables
from keras_bottleneck.models import ResNet

# The odd number ends in half a pair; the other needs several blocks of pairs.
SHAPES = [(3, 3, 7, 1001), (1, 1, 64, 4096)]


@pytest.mark.parametrize("shape", SHAPES)
def test_numbers_are_normally_distributed(shape):
    values = normal(shape, 0.5, seed=1).ravel() / 0.5
    assert values.dtype == np.float32
    count = values.size
    # Moments of the standard normal distribution; within four standard errors of each.
    for power, expected in enumerate((0, 1, 0, 3, 0, 15), start=1):
        found = (values.astype("float64") ** power).mean()
        variance = np.prod(np.arange(1, 2 * power, 2)) - expected**2
        assert abs(found - expected) <= 4 * np.sqrt(variance / count)
    inside = [(abs(values) < limit).mean() for limit in (0.1, 1.0, 3.0)]
    np.testing.assert_allclose(inside, [0.07966, 0.68269, 0.99730], atol=6e-3)


def test_numbers_of_a_pair_and_of_two_blocks_are_independent():
    values = normal((4 * PAIRS,), 1.0, seed=2)
    for distance in (1, PAIRS, 2 * PAIRS):
        one, other = values[:-distance], values[distance:]
        for power in (1, 2):
            assert abs(np.corrcoef(one**power, other**power)[0, 1]) <= 4 / np.sqrt(one.size)


def test_a_seed_decides_the_numbers():
    shape = (1, 1, 8, 16)
    np.testing.assert_array_equal(normal(shape, 1.0, 3), normal(shape, 1.0, 3))
    assert (normal(shape, 1.0, 3) != normal(shape, 1.0, 4)).all()
    kernels = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        model = ResNet("basic", (1,), filters=(8,), stem="cifar", classes=3)
        kernels.append([keras.ops.convert_to_numpy(one) for one in model.weights])
    for one, other in zip(*kernels, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_kernels_have_the_deviation_of_the_stock_initializer(dtype):
    shape = (3, 3, 64, 128)
    kernel = HeNormal(seed=1)(shape, dtype)
    assert keras.backend.standardize_dtype(kernel.dtype) == dtype
    values = keras.ops.convert_to_numpy(keras.ops.cast(kernel, "float32"))
    assert values.shape == shape
    np.testing.assert_allclose(values.std(), np.sqrt(2 / (9 * 128)), rtol=0.02)


def test_a_layer_with_it_is_written_as_a_stock_layer():
    layer = keras.layers.Conv2D(4, 1, kernel_initializer=HeNormal())
    written = keras.saving.serialize_keras_object(layer)["config"]["kernel_initializer"]
    stock = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
    assert written == keras.saving.serialize_keras_object(stock)
    assert HeNormal(seed=3).clone().get_config() == HeNormal(seed=3).get_config()


def test_paths_of_variables_are_those_that_keras_gives():
    def dense():
        layer = keras.layers.Dense(2, name="dense")
        layer.build((None, 3))
        return [one.path for one in layer.weights]

    with quick_variables():
        quick = dense()
    assert quick == dense() == ["dense/kernel", "dense/bias"]
