"""A new head on old features."""

import warnings

import keras
import numpy as np
import pytest

import keras_bottleneck as kb
from keras_bottleneck.training import with_new_head


@pytest.fixture
def model():
    network = kb.ResNet(
        "basic",
        (1,),
        filters=(4,),
        stem="cifar",
        input_shape=(8, 8, 3),
        classes=5,
        name="small",
        preprocessing=kb.Preprocessing((8, 8)),
    )
    return network


def test_only_the_head_is_new(model):
    renewed = with_new_head(model, 3)
    assert renewed.output_shape == (None, 3)
    assert renewed.name == "small"
    assert kb.model_preprocessing(renewed) == kb.Preprocessing((8, 8))
    assert [one.name for one in renewed.layers] == [one.name for one in model.layers]
    assert renewed.layers[:-1] == model.layers[:-1]
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "The structure of `inputs`")
        assert renewed(images).shape == (2, 3)
    np.testing.assert_allclose(np.sum(renewed.predict(images, verbose=0), axis=1), 1, rtol=1e-5)


def test_sequential_models_and_logits_are_fine():
    layers = [keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(4)]
    renewed = with_new_head(keras.Sequential(layers), 2)
    assert renewed.output_shape == (None, 2)
    assert renewed.layers[-1].activation is keras.activations.softmax


def test_another_end_is_refused(model):
    image = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 1)(image))
    with pytest.raises(ValueError, match="ends in a Dense layer"):
        with_new_head(keras.Model(image, keras.layers.Softmax()(pooled)), 3)
    with pytest.raises(ValueError, match="`classes` must be an integer of at least 2"):
        with_new_head(model, 1)
