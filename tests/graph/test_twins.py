"""What is computed twice is computed once."""

import keras
import numpy as np
from keras import layers

from keras_bottleneck.graph.twins import without_twins


def names(model):
    return [layer.name for layer in model.layers]


def test_equal_layers_on_one_tensor_become_one(noise, max_difference):
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, name="conv")(image)
    first, second = layers.ReLU(name="first")(x), layers.ReLU(name="second")(x)
    left, right = layers.MaxPooling2D(name="left")(first), layers.MaxPooling2D(name="right")(second)
    model = keras.Model(image, layers.Add(name="sum")([left, right]))
    found = without_twins(model)
    assert len(names(found)) == 5  # of each pair the one that comes first
    images = noise(2, 8, 8, 3)
    assert max_difference(found(images), model(images)) == 0


def test_what_differs_stays_and_the_model_too():
    image = keras.Input((8, 8, 4))
    x = layers.ReLU()(image), layers.ReLU(6.0)(image)
    y = layers.Conv2D(4, 1)(x[0]), layers.Conv2D(4, 1)(x[0])
    z = layers.Dropout(0.5)(x[1]), layers.Dropout(0.5)(x[1])
    model = keras.Model(image, layers.Add()([*y, *z]))
    assert without_twins(model) is model


def test_outputs_of_a_model_may_be_twins():
    image = keras.Input((4,))
    model = keras.Model(image, [layers.ReLU()(image), layers.ReLU()(image)])
    first, second = without_twins(model)(np.float32([[-1, 0, 1, 2]]))
    np.testing.assert_array_equal(first, second)
