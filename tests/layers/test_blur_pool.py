"""The blur is the binomial filter of the paper."""

import numpy as np
import pytest

from keras_bottleneck.layers import BlurPool


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(1, 1), (6, 7), (9, 4)])
def test_it_is_a_binomial_filter(size, stride, noise, as_array):
    x = noise(2, *size, 3).astype("float64")
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    wanted = (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / 16
    found = as_array(BlurPool(stride)(x.astype("float32")))
    np.testing.assert_allclose(found, wanted[:, ::stride, ::stride], atol=1e-6)
