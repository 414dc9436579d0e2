import keras
import numpy as np
import pytest

from keras_bottleneck import layers
from keras_bottleneck.graph import cast, flatten
from keras_bottleneck.models import ResNet


@pytest.fixture
def model(trained):
    return trained(
        ResNet("basic", (1, 1), filters=(8, 12), stem="cifar", input_shape=(9, 9, 3), classes=4)
    )


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "bfloat16", "float64"])
def test_every_layer_computes_as_asked(model, policy):
    copy = cast(model, policy)
    assert {layer.dtype_policy.name for layer in copy.layers[1:]} == {policy}
    wanted = keras.DTypePolicy(policy)
    assert {weight.dtype for weight in copy.weights} == {wanted.variable_dtype}
    assert copy.outputs[0].dtype == wanted.compute_dtype


def test_weights_are_equal(model):
    flat, copy = flatten(model), cast(model, "mixed_float16")
    for old, new in zip(flat.get_weights(), copy.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_original_is_untouched(model, noise, max_difference):
    x = noise(2, 9, 9, 3)
    expected = model(x)
    copy = cast(model, "mixed_bfloat16")
    copy.set_weights([weight + 1 for weight in copy.get_weights()])
    assert max_difference(model(x), expected) == 0.0
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}


def test_a_half_precision_model_becomes_exact(noise, max_difference):
    image = keras.Input((9, 9, 3))
    half = keras.Model(image, layers.BasicBlock(4, dtype="mixed_bfloat16", name="b")(image))
    full = keras.Model(image, layers.BasicBlock(4, name="b")(image))
    full.set_weights(half.get_weights())
    x = noise(2, 9, 9, 3)
    assert max_difference(cast(half)(x), full(x)) == 0.0
    assert max_difference(half(x), full(x)) > 0.0


def test_an_unknown_policy_is_an_error(model):
    with pytest.raises(ValueError, match="float31"):
        cast(model, "float31")
