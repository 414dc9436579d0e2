import keras
import numpy as np
import pytest

from keras_bottleneck.layers import DropPath


def test_inference_is_the_identity(noise, max_difference):
    x = noise(8, 4, 4, 3)
    assert max_difference(DropPath(0.5)(x), x) == 0.0
    assert max_difference(DropPath(0.5)(x, training=False), x) == 0.0


def test_rate_zero_is_the_identity_in_training(noise, max_difference):
    x = noise(8, 4, 4, 3)
    assert max_difference(DropPath(0)(x, training=True), x) == 0.0


@pytest.mark.parametrize("shape", [(64, 4, 4, 3), (64, 5), (64, 2, 3)])
def test_each_sample_is_dropped_whole_or_scaled(shape, noise, as_array):
    x = noise(*shape)
    y = as_array(DropPath(0.25, seed=1)(x, training=True))
    dropped = (y == 0).all(axis=tuple(range(1, y.ndim)))
    assert 0 < dropped.sum() < len(x)
    np.testing.assert_allclose(y[~dropped], x[~dropped] / 0.75, rtol=1e-6)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_mean_is_kept(rate, as_array):
    samples = 200_000
    y = as_array(DropPath(rate, seed=1)(np.ones((samples, 1), "float32"), training=True))
    # Four standard deviations of the mean of that many independent samples.
    bound = 4 * np.sqrt(rate / (1 - rate) / samples)
    assert abs(y.mean() - 1) < bound
    assert abs((y == 0).mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / samples)


def test_calls_differ_and_a_seed_repeats_them(noise, max_difference):
    x = noise(32, 3)
    one, other = DropPath(0.5, seed=7), DropPath(0.5, seed=7)
    first = one(x, training=True)
    assert max_difference(first, other(x, training=True)) == 0.0
    assert max_difference(first, one(x, training=True)) > 0.0


@pytest.mark.parametrize("rate", [1, 1.5, -0.1, "0.1", None, float("nan"), True])
def test_a_wrong_rate_is_an_error(rate):
    with pytest.raises(ValueError, match=r"^`rate` must be a number .* Received: rate="):
        DropPath(rate)


def test_the_config_holds_the_constructor_arguments_alone():
    config = DropPath(0.2, seed=3, name="drop").get_config()
    assert (config["rate"], config["seed"]) == (0.2, 3)
    assert "noise_shape" not in config
    assert isinstance(DropPath(0.2), keras.layers.Dropout)
