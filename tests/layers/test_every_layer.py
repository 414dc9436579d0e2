"""What any Keras user expects of any layer, for each layer of the package."""

import contextlib
import inspect

import keras
import numpy as np
import pytest

from keras_bottleneck import layers

POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")


def test_a_layer_from_its_config_has_the_same_config_and_outputs(
    make_layer, noise, trained, max_difference
):
    layer, x = make_layer(), noise(2, 7, 6, 8)
    copy = type(layer).from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    expected = layer(x)
    trained(layer)
    copy(x)
    copy.set_weights(layer.get_weights())
    assert max_difference(copy(x), layer(x)) == 0.0
    if layer.weights:
        assert max_difference(expected, layer(x)) > 0.0


def test_a_constructor_shows_every_argument(make_layer):
    layer = make_layer()
    if isinstance(layer, layers.Block):
        shown = inspect.signature(type(layer)).parameters
        assert {*layer.get_config()} <= {*shown}
        assert {"kwargs", "args"}.isdisjoint(shown)


@pytest.mark.slow
@pytest.mark.full
def test_a_saved_model_loads_with_its_outputs(
    make_layer, make_model, noise, trained, max_difference, tmp_path
):
    model, x = trained(make_model(make_layer())), noise(2, 7, 6, 8)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert max_difference(loaded(x), model(x)) == 0.0


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.parametrize("policy", POLICIES[1:])
def test_a_half_precision_layer_is_one_after_loading(
    make_layer, policy, noise, trained, max_difference, tmp_path
):
    layer, x = make_layer(dtype=policy), noise(2, 7, 6, 8)
    model = keras.Sequential([keras.Input((7, 6, 8)), layer])
    trained(model).save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].dtype_policy == keras.DTypePolicy(policy)
    assert max_difference(loaded(x), model(x)) == 0.0


def test_a_second_build_leaves_the_layer_as_it_was(make_layer, noise, max_difference):
    layer, x = make_layer(), noise(2, 7, 6, 8)
    expected = layer(x)
    # Keras refuses new weights in a built layer, and swallows that error while loading a file.
    with contextlib.suppress(ValueError):
        layer.build(x.shape)
    assert max_difference(layer(x), expected) == 0.0


@pytest.mark.parametrize("policy", POLICIES)
def test_the_dtype_policy_reaches_all_that_is_inside(make_layer, policy, noise):
    layer = make_layer(dtype=policy)
    y = layer(noise(1, 5, 5, 8))
    assert keras.backend.standardize_dtype(y.dtype) == keras.DTypePolicy(policy).compute_dtype
    assert {weight.dtype for weight in layer.weights} <= {"float32"}


@pytest.mark.parametrize("size", [(7, 6), (1, 1), (16, 9)])
def test_the_promised_shape_is_the_real_one(make_layer, size, noise):
    layer, x = make_layer(), noise(2, *size, 8)
    promised = layer.compute_output_shape(x.shape)
    assert tuple(layer(x).shape) == tuple(promised)
    image = keras.Input((*size, 8))
    assert make_layer()(image).shape[1:] == promised[1:]


def test_unknown_image_sizes_stay_unknown(make_layer, noise):
    image = keras.Input((None, None, 8))
    y = make_layer()(image)
    assert y.shape[:3] == (None, None, None)
    model = keras.Model(image, y)
    assert tuple(model(noise(2, 5, 9, 8)).shape) == tuple(
        make_layer().compute_output_shape((2, 5, 9, 8))
    )


def test_training_may_be_given_by_the_caller(make_layer, noise):
    layer, x = make_layer(), noise(4, 6, 6, 8)
    assert layer(x, training=False).shape == layer(x, training=True).shape


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.parametrize("policy", POLICIES[:2])
def test_fit_moves_every_weight_and_statistic(make_layer, policy, noise):
    image = keras.Input((6, 6, 8))
    features = keras.layers.Flatten()(make_layer(dtype=policy)(image))
    model = keras.Model(image, keras.layers.Dense(2, dtype="float32")(features))
    before = model.get_weights()
    # Compiling is slow: one precision is enough for it.
    eager = policy != "float32"
    model.compile(keras.optimizers.SGD(1e-2), "mse", jit_compile=False, run_eagerly=eager)
    model.fit(noise(16, 6, 6, 8), noise(16, 2, seed=1), batch_size=8, verbose=0)
    after = model.get_weights()
    for variable, old, new in zip(model.weights, before, after, strict=True):
        assert np.isfinite(new).all(), variable.path
        assert (old != new).any(), variable.path


@pytest.mark.parametrize("frozen_when", ["made", "built", "loaded"])
def test_a_frozen_layer_does_not_move_in_training(make_layer, frozen_when, noise, tmp_path):
    layer = make_layer(trainable=frozen_when != "made")
    model = keras.Sequential([keras.Input((6, 6, 8)), layer, keras.layers.Flatten()])
    model.add(keras.layers.Dense(1))
    layer.trainable = False
    if frozen_when == "loaded":
        model.save(tmp_path / "model.keras")
        model = keras.saving.load_model(tmp_path / "model.keras")
        layer = model.layers[0]
    before = layer.get_weights()
    # The optimizer sees the last layer alone, and no batch norm moves its statistics.
    assert model.trainable_variables == model.layers[-1].trainable_variables
    model(noise(8, 6, 6, 8), training=True)
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
