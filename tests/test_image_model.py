"""A model's preprocessing: told by the model, kept by copies and files, part of it on demand."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_bottleneck as kb
from keras_bottleneck import Preprocessing, model_preprocessing

SIDE = 16
IMAGENET = Preprocessing(
    SIDE, resize="crop", crop_fraction=0.875, mean=(0.485, 0.456, 0.406), std=(0.2, 0.3, 0.4)
)
CAFFE = Preprocessing(SIDE, scale=1.0, mean=(103.9, 116.8, 123.7), color_order="bgr")


def small(**changes):
    arguments = {"filters": (8,), "stem": "cifar", "classes": 3, "input_shape": (SIDE, SIDE, 3)}
    return kb.ResNet("basic", (1,), **{**arguments, **changes})


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 3)).astype("float32")


def test_a_model_tells_its_preprocessing():
    assert model_preprocessing(small(preprocessing=IMAGENET)) == IMAGENET
    assert model_preprocessing(small()) is None


def test_passes_keep_it():
    model = small(preprocessing=IMAGENET)
    for copy in (kb.fold(model), kb.graph.flatten(model), kb.graph.cast(model, "float16")):
        assert model_preprocessing(copy) == IMAGENET
    backbone = keras.Sequential([keras.Input((SIDE, SIDE, 3)), model])
    assert model_preprocessing(kb.graph.flatten(backbone)) == IMAGENET


@pytest.mark.filterwarnings("ignore:quantize calibrates on")
def test_a_quantized_model_keeps_it(pixels):
    model = small(preprocessing=IMAGENET)
    assert model_preprocessing(kb.quantize(model, IMAGENET.normalize(pixels))) == IMAGENET


def test_a_model_around_it_tells_it_where_it_takes_the_same_input():
    image = keras.Input((SIDE, SIDE, 3))
    model = small(preprocessing=IMAGENET)
    outer = keras.Model(image, keras.layers.Dense(2)(model(image)))
    assert model_preprocessing(outer) == IMAGENET
    scaled = keras.Model(image, model(keras.layers.Rescaling(2.0)(image)))
    assert model_preprocessing(scaled) is None


@pytest.mark.slow
@pytest.mark.full
def test_a_file_of_kerass_own_keeps_it_in_another_process(tmp_path):
    model = small(preprocessing=IMAGENET)
    model.save(tmp_path / "model.keras")
    code = """
import sys, keras, keras_bottleneck as kb
model = keras.saving.load_model(sys.argv[1])
print(kb.model_preprocessing(model).to_dict())
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model.keras")],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == str(IMAGENET.to_dict()), done.stderr
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for old, new in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("preprocessing", [IMAGENET, CAFFE], ids=["imagenet", "caffe"])
def test_it_can_be_part_of_the_model(preprocessing, pixels, max_difference):
    whole = small(preprocessing=preprocessing, include_preprocessing=True)
    plain = small(preprocessing=preprocessing)
    kb.weights.load(plain, whole)
    normalized = preprocessing.normalize(pixels)
    assert max_difference(whole(pixels), plain(normalized)) < 1e-6
    left = model_preprocessing(whole)
    np.testing.assert_array_equal(left.normalize(pixels), pixels)
    assert left.geometry(40, 50) == preprocessing.geometry(40, 50)


def test_blue_first():
    red = np.zeros((1, 1, 3), np.uint8)
    red[..., 0] = 255
    np.testing.assert_allclose(CAFFE.normalize(red)[0, 0], [-103.9, -116.8, 131.3], rtol=1e-6)


def test_it_can_be_set_to_nothing_else():
    model = kb.ResNet("basic", (1,), filters=(4,), stem="cifar", classes=3)
    for wrong in ("abc", {"image_size": 32}, 1):
        with pytest.raises(ValueError, match="^`preprocessing` must be a Preprocessing or None"):
            model.preprocessing = wrong
    assert model.preprocessing is None


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"preprocessing": "imagenet"}, "preprocessing"),
        ({"preprocessing": Preprocessing(SIDE + 1)}, "preprocessing"),
        ({"preprocessing": Preprocessing(SIDE, channels=1)}, "preprocessing"),
        ({"include_preprocessing": True}, "include_preprocessing"),
        ({"preprocessing": IMAGENET, "include_preprocessing": 1}, "include_preprocessing"),
    ],
)
def test_wrong_arguments(arguments, named):
    with pytest.raises(ValueError, match=f"^`{named}` must be .* Received: {named}=") as error:
        small(**arguments)
    assert "\n" not in str(error.value)


def test_bgr_needs_three_channels():
    with pytest.raises(ValueError, match="^`color_order` must be 'rgb' with 1 channels"):
        Preprocessing(8, channels=1, color_order="bgr")
