"""What does nothing at inference is told from what does."""

import pytest
from keras import layers

from keras_bottleneck.graph.training_only import training_only


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Dropout(0.5),
        lambda: layers.RandomFlip(),
        lambda: layers.Pipeline([layers.RandomFlip(), layers.RandomContrast(0.1)]),
    ],
    ids=["dropout", "augmentation", "pipeline"],
)
def test_it_does_nothing_at_inference(make, noise, max_difference):
    layer, x = make(), noise(2, 5, 5, 3)
    assert training_only(layer)
    assert max_difference(layer(x, training=False), x) == 0.0


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.ReLU(),
        lambda: layers.Rescaling(0.5),
        lambda: layers.Pipeline([layers.RandomFlip(), layers.Rescaling(0.5)]),
    ],
    ids=["relu", "rescaling", "pipeline"],
)
def test_it_does_something(make):
    assert not training_only(make())
