import keras
import numpy as np
import pytest
from keras import layers

import keras_bottleneck as kb
from keras_bottleneck.keras_private import sublayers
from keras_bottleneck.training import Recipe, set_mixed_precision

seen = {}


class Probe(layers.Layer):
    """Notes the dtype that really arrives while a step is traced."""

    def call(self, x):
        seen[self.name] = keras.backend.standardize_dtype(x.dtype)
        return x


class Block(layers.Layer):
    """A composite layer whose sub-layers only a walk through private lists can find."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense, self.probe = layers.Dense(4, name="inner"), Probe(name="in_block")

    def build(self, shape):
        self.dense.build(shape)
        self.built = True

    def call(self, x):
        return self.probe(self.dense(x))


def network():
    """A composite layer, a nested model and a head."""
    inner_input = keras.Input((4,))
    inner = keras.Model(inner_input, Probe(name="in_model")(layers.Dense(4)(inner_input)))
    inputs = keras.Input((4,))
    x = inner(Block(name="block")(inputs))
    x = Probe(name="before_head")(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="top")(x))


def test_sublayers_reaches_every_depth():
    names = {layer.name for layer in sublayers(network())}
    assert {"block", "inner", "in_block", "in_model", "top"} <= names
    assert [layer.name for layer in sublayers(Block())] == ["inner", "in_block"]


@pytest.mark.parametrize(
    ("policy", "compute"), [("mixed_bfloat16", "bfloat16"), ("mixed_float16", "float16")]
)
def test_fit_computes_in_16_bits(policy, compute):
    model = network()
    seen.clear()
    x, y = np.ones((8, 4), "float32"), np.arange(8) % 3
    history = Recipe(epochs=2, mixed_precision=policy).fit(model, (x, y))
    assert seen == {"in_block": compute, "in_model": compute, "before_head": compute}
    assert model.get_layer("top").compute_dtype == "float32"
    assert keras.backend.standardize_dtype(model(x).dtype) == "float32"
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    assert np.isfinite(history.history["loss"]).all()


def test_float16_scales_the_loss():
    model = two_layers()
    Recipe(mixed_precision="mixed_float16").compile(model, 3)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    Recipe(mixed_precision="mixed_bfloat16").compile(model, 3)
    assert not isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert model.get_layer("hidden").compute_dtype == "bfloat16"


def two_layers():
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, name="hidden"), layers.Dense(3, name="top")]
    )


def test_model_wrapped_in_a_model_is_changed_up_to_its_own_head():
    inner = two_layers()
    inputs = keras.Input((4,))
    set_mixed_precision(keras.Model(inputs, inner(inputs)), "mixed_bfloat16")
    assert inner.get_layer("hidden").compute_dtype == "bfloat16"
    assert inner.get_layer("top").compute_dtype == "float32"


def test_composite_head_and_final_cast_stay_in_float32():
    inputs = keras.Input((4,))
    head = layers.Activation("linear")(Block(name="head")(layers.Dense(4, name="body")(inputs)))
    model = keras.Model(inputs, head)
    set_mixed_precision(model, "mixed_bfloat16")
    computed = {layer.name: layer.compute_dtype for layer in sublayers(model)}
    assert computed["body"] == "bfloat16"
    assert computed["head"] == computed["inner"] == computed["in_block"] == "float32"


def test_layers_with_a_dtype_of_their_own_keep_it():
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, dtype="float64", name="exact"), layers.Dense(3)]
    )
    set_mixed_precision(model, "mixed_bfloat16")
    assert model.get_layer("exact").compute_dtype == "float64"


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_residual_network_trains_in_16_bits(policy):
    model = kb.ResNet("basic", (1,), filters=(8,), stem="cifar", input_shape=(8, 8, 3), classes=3)
    images = np.random.default_rng(0).uniform(size=(16, 8, 8, 3)).astype("float32")
    data = images, np.arange(16) % 3
    recipe = Recipe(epochs=1, batch_size=8, mixed_precision=policy)
    assert np.isfinite(recipe.fit(model, data, data).history["val_loss"]).all()
    assert model.get_layer("stage1_block1").compute_dtype == policy.removeprefix("mixed_")
