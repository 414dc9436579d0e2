"""Which images are looked at, and how many at once."""

import keras
import numpy as np
import pytest

from keras_bottleneck.quantization.observation import BATCH, activations, spread


@pytest.mark.parametrize(("images", "count"), [(10, 4), (10, 10), (7, 20), (1000, 3), (1, 1)])
def test_some_images_are_evenly_spaced_and_never_too_many(images, count):
    chosen = spread(np.arange(images), count)
    assert 0 < len(chosen) <= count
    assert chosen[0] == 0
    assert len(set(np.diff(chosen).tolist())) <= 1
    assert len(chosen) > min(images, count) / 2


@pytest.mark.parametrize("fixed", [None, 3])
def test_every_image_is_computed_once_in_batches(noise, fixed):
    image = keras.Input((2,), batch_size=fixed)
    model = keras.Model(image, keras.layers.ReLU()(image))
    images = noise(2 * (fixed or BATCH), 2)
    found = [batch for (batch,) in activations(model, [model.output], images, "")]
    assert [len(batch) for batch in found] == [fixed or BATCH] * 2
    np.testing.assert_array_equal(np.concatenate(found), np.maximum(images, 0))


def test_the_last_batch_has_the_rest(noise):
    image = keras.Input((2,))
    model = keras.Model(image, keras.layers.ReLU()(image))
    found = list(activations(model, [model.output], noise(BATCH + 1, 2), ""))
    assert [len(batch) for (batch,) in found] == [BATCH, 1]
