"""`fake_quant` is the textbook formula, on every backend."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_bottleneck.quantization.calibrators import nudged
from keras_bottleneck.quantization.fake_quant import (
    fake_quant,
    fake_quant_kernel,
    round_straight,
    step_of,
)

BOUNDED = settings(max_examples=40, deadline=None, derandomize=True)
ENDS = [(-1.0, 1.1), (-0.3, 2.0), (0.0, 6.0), (-5.0, 0.0), (-1.0, 0.003), (-1e-4, 3e-4)]


def numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def assert_is(found, expected, values, step):
    """Equal, but that a value in the middle of two levels may go to either."""
    position = np.abs(values / step) % 1
    middle = np.abs(position - 0.5) < 1e-2
    difference = np.abs(numpy(found).astype("float64") - expected)
    assert difference[~middle].max(initial=0.0) <= 1e-3 * step
    assert difference.max() <= 1.001 * step


def reference(values, low, high):
    step = (high - low) / 255
    zero = round(-low / step)
    return (np.clip(np.rint(values / step) + zero, 0, 255) - zero) * step


@BOUNDED
@given(st.integers(0, 255), st.floats(1e-6, 1e4))
def test_it_is_the_formula_for_every_zero_point(zero, step):
    low, high = -zero * step, (255 - zero) * step
    values = np.linspace(low - 9.3 * step, high + 9.3 * step, 2001).astype("float32")
    expected = reference(values.astype("float64"), low, high)
    assert_is(fake_quant(values, low, high), expected, values.astype("float64"), step)


@pytest.mark.parametrize("ends", ENDS)
def test_ranges_are_nudged_for_zero_to_be_a_level(ends):
    values = np.linspace(-7, 7, 5001).astype("float32") * max(map(abs, ends))
    low, high = nudged(*ends)
    found = numpy(fake_quant(values, *ends))
    assert (found.min(), found.max()) == pytest.approx((low, high), rel=1e-5, abs=1e-9)
    expected = reference(values.astype("float64"), low, high)
    assert_is(found, expected, values.astype("float64"), (high - low) / 255)


@pytest.mark.parametrize("ends", ENDS)
def test_there_are_256_levels_and_zero_is_one_of_them(ends):
    values = np.linspace(*ends, 100_001).astype("float32")
    found = numpy(fake_quant(values, *ends))
    levels = np.unique(np.round(found / step_of(*ends)).astype(int))
    assert len(levels) == 256
    assert levels[-1] - levels[0] == 255
    # Padding is full of exact zeros: they must stay so.
    zeros = numpy(fake_quant(np.zeros(5, "float32"), *ends))
    np.testing.assert_array_equal(zeros, np.zeros(5))


@pytest.mark.parametrize("ends", ENDS)
def test_what_is_rounded_stays_as_it_is(ends, noise):
    once = numpy(fake_quant(3 * noise(1000), *ends))
    np.testing.assert_allclose(numpy(fake_quant(once, *ends)), once, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_computed_in_float32_first(dtype, noise):
    x = keras.ops.cast(3 * noise(1000), dtype)
    found = fake_quant(x, -1.0, 2.0)
    assert keras.backend.standardize_dtype(found.dtype) == dtype
    full = fake_quant(keras.ops.cast(x, "float32"), -1.0, 2.0)
    np.testing.assert_array_equal(
        numpy(keras.ops.cast(found, "float32")),
        numpy(keras.ops.cast(keras.ops.cast(full, dtype), "float32")),
    )


@pytest.mark.parametrize("axis", [2, 3, None])
def test_kernels_are_symmetric_and_narrow(axis):
    generator = np.random.default_rng(0)
    kernel = generator.normal(size=(3, 3, 4, 4)).astype("float32")
    reach = np.float32(0.7) if axis is None else np.array([0.1, 0.7, 2.5, 9.0], "float32")
    wide = (
        np.broadcast_to(reach, (4,)).reshape([4 if i == axis else 1 for i in range(4)])
        if (axis is not None)
        else np.float64(reach)
    )
    step = np.broadcast_to(np.asarray(wide, "float64") / 127, kernel.shape)
    found = numpy(fake_quant_kernel(kernel, reach, axis)).astype("float64")
    codes = found / step
    assert np.abs(codes - np.rint(codes)).max() < 1e-3
    assert np.rint(codes).min() == -127 and np.rint(codes).max() == 127
    expected = np.clip(np.rint(kernel / step), -127, 127) * step
    middle = np.abs(np.abs(kernel / step) % 1 - 0.5) < 1e-2
    assert (np.abs(found - expected) / step)[~middle].max() < 1e-3
    again = numpy(fake_quant_kernel(found.astype("float32"), reach, axis))
    np.testing.assert_allclose(again, found, rtol=1e-5, atol=1e-6 * float(np.max(reach)))


def test_the_gradient_passes_inside_and_stops_outside(gradient):
    x = np.array([-3.0, -1.01, -0.99, 0.0, 0.4, 1.99, 2.01, 40.0], "float32")
    factors = np.arange(2, 10, dtype="float32")
    found = gradient(lambda x: factors * fake_quant(x, -1.0, 2.0), x)
    np.testing.assert_array_equal(found, [0, 0, 4, 5, 6, 7, 0, 0])


def test_the_gradient_of_a_kernel_knows_its_channel(gradient):
    kernel = np.array([-0.6, 0.4, 1.4, 1.6], "float32").reshape(1, 1, 4, 1).repeat(2, axis=3)
    reach = np.array([0.5, 1.5], "float32")
    found = gradient(lambda k: fake_quant_kernel(k, reach, 3), kernel)
    np.testing.assert_array_equal(found[0, 0], [[0, 1], [1, 1], [0, 1], [0, 0]])


def test_rounding_straight_has_the_gradient_of_the_identity(gradient):
    x = np.array([-1.6, -0.4, 0.3, 2.7], "float32")
    np.testing.assert_array_equal(
        numpy(round_straight(keras.ops.convert_to_tensor(x))), [-2, 0, 0, 3]
    )
    found = gradient(lambda x: 3.0 * round_straight(x), x)
    np.testing.assert_array_equal(found, [3, 3, 3, 3])
