"""`FakeQuantize` by itself: its range, how far it moves, and where ties go."""

import keras
import numpy as np
import pytest

from keras_bottleneck.quantization.quantizers import FakeQuantize


def made(low=None, high=None, **arguments):
    layer = FakeQuantize(**arguments)
    layer.build((1,))
    if low is not None:
        layer.set_range(low, high)
    return layer


def test_a_new_one_ranges_from_minus_one_to_one_and_may_move():
    layer = made()
    assert not layer.fixed
    assert (float(layer.low), float(layer.high), float(layer.moving)) == (-1.0, 1.0, 0.0)


def test_a_moving_range_goes_its_part_of_the_way():
    layer = made(momentum=0.75)
    layer.moving.assign(1.0)
    layer(keras.ops.convert_to_tensor([-3.0, 5.0]), training=True)
    assert (float(layer.low), float(layer.high)) == (-1.5, 2.0)


def test_zero_stays_inside_of_a_moving_range():
    layer = made(momentum=0.0)
    layer.moving.assign(1.0)
    layer(keras.ops.convert_to_tensor([2.0, 5.0]), training=True)
    assert (float(layer.low), float(layer.high)) == (0.0, 5.0)


@pytest.mark.parametrize("moving", [0.0, 1.0])
def test_nothing_moves_at_inference(moving):
    layer = made(momentum=0.0)
    layer.moving.assign(moving)
    layer(keras.ops.convert_to_tensor([-3.0, 5.0]), training=False)
    assert (float(layer.low), float(layer.high)) == (-1.0, 1.0)


@pytest.mark.parametrize("step", [1.0, 2.0, 0.5])
def test_ties_of_averages_go_away_from_code_zero_which_is_not_the_code_of_zero(step, as_array):
    # Zero has the code -64, and code 0 is 64 steps above it.
    layer = made(-64 * step, 191 * step)
    ties = np.array([-10.5, 10.5, 11.5, 69.5, 70.5], "float32") * step
    values, *grid = layer(keras.ops.convert_to_tensor(ties), rule="away", training=False)
    assert [float(one) for one in grid] == [step, -64.0]
    np.testing.assert_array_equal(as_array(values) / step, [-11.0, 10.0, 11.0, 70.0, 71.0])
