"""A trained network without its ArcFace layer: what remains, and its files."""

import keras
import numpy as np
import pytest

import keras_bottleneck as kb
from keras_bottleneck.layers import ArcFace
from keras_bottleneck.models import ResNet, embedding_model


def body(**arguments):
    return ResNet(
        "basic",
        (1, 1),
        filters=(8, 16),
        stem="cifar",
        include_top=False,
        pooling="avg",
        input_shape=(16, 16, 3),
        **arguments,
    )


def with_margin(network, name="net"):
    label = keras.Input((), dtype="int32", name="label")
    x = keras.layers.Dense(12, name="features")(network.output)
    return keras.Model([network.input, label], ArcFace(4, name="scores")([x, label]), name=name)


def test_it_is_the_network_to_the_embedding_at_length_1(trained, noise, as_array):
    model, x = trained(with_margin(body())), noise(5, 16, 16, 3)
    made = embedding_model(model)
    assert made.name == "net_embedding"
    found = as_array(made(x))
    features = as_array(keras.Model(model.inputs[0], model.get_layer("features").output)(x))
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    np.testing.assert_allclose(found, features / lengths, atol=1e-6)


def test_weights_are_shared_and_the_label_is_gone():
    model = with_margin(body())
    made = embedding_model(model, name="faces")
    assert made.name == "faces"
    assert isinstance(made.input, keras.KerasTensor)  # a list makes Keras warn at every call
    assert made.get_layer("features") is model.get_layer("features")


def test_a_nested_network_keeps_its_preprocessing():
    network = body(preprocessing=kb.Preprocessing((16, 16), std=(0.5,)))
    image, label = keras.Input((16, 16, 3)), keras.Input((), dtype="int32")
    model = keras.Model([image, label], ArcFace(4)([network(image), label]))
    made = embedding_model(model)
    assert kb.model_preprocessing(made) == network.preprocessing


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_embeddings_are_float32(policy, dtype_policy, noise, as_array):
    dtype_policy(policy)
    y = embedding_model(with_margin(body()))(noise(2, 16, 16, 3))
    assert keras.backend.standardize_dtype(y.dtype) == "float32"
    np.testing.assert_allclose(np.linalg.norm(as_array(y), axis=1), 1, atol=1e-5)


WRONG = {
    "model": lambda: embedding_model(body()),
    "model ": lambda: embedding_model("net"),
    "name": lambda: embedding_model(with_margin(body()), name=""),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_argument_is_named(case):
    with pytest.raises(ValueError, match=rf"^`{case.strip()}` must be .*\. Received: \w+="):
        WRONG[case]()
