"""One feature map cut to the size of another, of known and unknown sizes."""

import keras
import numpy as np
import pytest

from keras_bottleneck.layers import CropLike


@pytest.mark.parametrize("sides", [(8, 6), (None, None), (8, None)])
def test_rows_and_columns_go_at_the_bottom_and_the_right(sides, noise, as_array):
    x, like = noise(2, 8, 6, 3), noise(2, 7, 5, 1)
    inputs = [keras.Input((*sides, 3)), keras.Input((7, None, 1))]
    model = keras.Model(inputs, CropLike()(inputs))
    assert model.output_shape == (None, 7, None, 3)
    np.testing.assert_array_equal(as_array(model([x, like])), x[:, :7, :5])


def test_what_fits_is_passed_on(noise):
    x = keras.ops.convert_to_tensor(noise(2, 4, 4, 3))
    assert CropLike()([x, noise(1, 4, 4, 1)]) is x


def test_it_is_saved_with_its_model(noise, max_difference, tmp_path):
    x, like = keras.Input((None, None, 2)), keras.Input((None, None, 3))
    model = keras.Model([x, like], CropLike(name="cut")([x, like]))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    given = [noise(1, 6, 6, 2), noise(1, 5, 6, 3)]
    assert max_difference(loaded(given), model(given)) == 0.0


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_passes_through(policy, noise):
    layer = CropLike(dtype=policy)
    y = layer([noise(1, 4, 4, 2), noise(1, 3, 3, 2)])
    assert keras.backend.standardize_dtype(y.dtype) == policy.removeprefix("mixed_")
