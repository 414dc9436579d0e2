"""No two neighbouring codes overflow, at the least cost."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from keras_bottleneck.export.auditing import overflow
from keras_bottleneck.quantization.kernels import QuantizedConv2D, QuantizedDense
from keras_bottleneck.quantization.pairs import codes_without_overflow
from keras_bottleneck.quantization.rounding import adaptive_rounding

ACTIVATION = 255


def saturates(codes):
    """Whether a sum of two products leaves 16 bits for some activations, tried at their ends."""
    pairs = codes[: len(codes) // 2 * 2].reshape(-1, 2)
    ends = np.array(list(product((0, ACTIVATION), repeat=2)))
    sums = pairs @ ends.T
    return bool(sums.size and (sums.max() > 2**15 - 1 or sums.min() < -(2**15)))


@settings(deadline=None)
@given(st.lists(st.floats(-127, 127, width=32), min_size=1, max_size=9))
def test_no_two_neighbours_overflow(targets):
    column = np.float32(targets)[:, np.newaxis]
    codes = np.asarray(codes_without_overflow(column))
    assert codes.shape == column.shape
    np.testing.assert_array_equal(codes, np.rint(codes))
    assert np.abs(codes).max() <= 127
    assert not saturates(codes[:, 0])
    assert not overflow(codes)
    if not saturates(np.rint(column[:, 0])):
        np.testing.assert_array_equal(codes, np.rint(column))


def test_what_does_not_fit_costs_the_least_squared_error():
    generator = np.random.default_rng(0)
    grid = np.array([pair for pair in product(range(1, 128), repeat=2) if sum(pair) <= 128])
    for _ in range(200):
        targets = generator.uniform(64.6, 127, (2, 1)).astype(np.float32)
        found = np.asarray(codes_without_overflow(targets))
        least = np.square(grid - targets[:, 0]).sum(1).min()
        assert np.square(found - targets).sum() <= least + 1e-3


@pytest.mark.parametrize("codes", [[100, 29], [-100, -29], [0, 0, 127, 2]])
def test_the_limit_is_that_of_16_bits(codes):
    column = np.array(codes, np.int8)
    assert overflow(column[:, np.newaxis])
    assert saturates(column.astype(int))
    assert not overflow(column[:-1, np.newaxis])


@pytest.mark.parametrize(
    ("kind", "stock", "args"),
    [(QuantizedConv2D, layers.Conv2D, (6, 3)), (QuantizedDense, layers.Dense, (6,))],
)
def test_a_layer_whose_weights_are_all_alike(kind, stock, args, as_array, gradient):
    layer = kind(*args, reduce_range=True)
    layer.build((None, 5, 5, 3))
    layer.kernel.assign(np.ones(layer.kernel.shape))
    layer.reach.assign(np.ones(layer.reach.shape))
    codes = as_array(layer.quantized_kernel()).reshape(-1, 6) * 127
    # 64 + 64; the last of an odd number stands alone.
    np.testing.assert_allclose(codes[:2], 64, rtol=1e-6)
    np.testing.assert_allclose(codes[-1], 127, rtol=1e-6)
    before = as_array(layer.quantized_kernel())
    copy = kind.from_config(layer.get_config())
    assert copy.reduce_range
    layer.freeze_kernel()
    assert not layer.reduce_range
    np.testing.assert_allclose(as_array(layer.quantized_kernel()), before, rtol=1e-6)


@pytest.mark.parametrize("inputs", [9, 64, 65, 150])
def test_adaptive_rounding_makes_up_for_what_neighbours_give_up(inputs):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(2000, max(2, inputs // 3)))
    x = x @ generator.normal(size=(x.shape[1], inputs))
    x += 0.1 * generator.normal(size=x.shape)
    x -= x.mean(0)
    kernel = np.random.default_rng(1).uniform(0.2, 1.0, (inputs, 6))
    reach = 1.3 * np.abs(kernel).max(0)
    step = reach / 127
    rounded = adaptive_rounding(x.T @ x / len(x), kernel, reach, in_pairs=True)
    codes = np.rint(rounded / step)
    np.testing.assert_allclose(rounded / step, codes, atol=1e-9)
    assert not overflow(codes)
    nearest = np.asarray(codes_without_overflow(kernel / step)) * step
    errors = [np.square(x @ (each - kernel)).sum() for each in (rounded, nearest)]
    assert errors[0] < 0.8 * errors[1]
