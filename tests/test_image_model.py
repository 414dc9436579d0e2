"""A model's preprocessing: told by the model, kept by copies and files, part of it on demand."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_bottleneck as kb
from keras_bottleneck import Preprocessing, keras_private, model_preprocessing

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
@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_file_of_kerass_own_keeps_it_in_another_process(ending, tmp_path):
    model = small(preprocessing=IMAGENET)
    model.save(tmp_path / f"model{ending}")
    code = """
import sys, keras, keras_bottleneck as kb
model = keras.saving.load_model(sys.argv[1])
print(kb.model_preprocessing(model).to_dict())
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / f"model{ending}")],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == str(IMAGENET.to_dict()), done.stderr
    loaded = keras.saving.load_model(tmp_path / f"model{ending}")
    for old, new in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def compiled(model):
    loss = keras.losses.SparseCategoricalCrossentropy()
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    return model


def frozen():
    model = small(preprocessing=IMAGENET)
    for layer in keras_private.sublayers(model):
        # Its gamma is among the weights that are not trained then, which .h5 files put last.
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    return compiled(model)


H5 = {
    "plain": lambda: small(preprocessing=IMAGENET),
    "compiled": lambda: compiled(small(preprocessing=IMAGENET)),
    "partly frozen": frozen,
    "scaled loss": lambda: compiled(kb.graph.cast(small(preprocessing=IMAGENET), "mixed_float16")),
    "in Sequential": lambda: keras.Sequential(
        [keras.Input((SIDE, SIDE, 3)), small(preprocessing=IMAGENET)]
    ),
    "blocks": lambda: small(drop_path=0.1, se_ratio=0.25, preprocessing=CAFFE),
    "in the graph": lambda: small(preprocessing=CAFFE, include_preprocessing=True),
}


@pytest.mark.parametrize("make", H5.values(), ids=H5)
def test_an_h5_file_brings_everything_back(make, pixels, tmp_path, max_difference):
    model, labels = make(), np.array([0, 1, 2, 0])
    callback = keras.callbacks.ModelCheckpoint(tmp_path / "x.h5")
    if model.compiled:
        model.fit(pixels, labels, epochs=2, callbacks=[callback], verbose=0)
    else:
        model.save(tmp_path / "x.h5")
    loaded = keras.models.load_model(tmp_path / "x.h5")
    assert type(loaded) is type(model)
    assert model_preprocessing(loaded) == model_preprocessing(model) is not None
    assert max_difference(loaded.weights, model.weights) == 0.0
    assert max_difference(loaded(pixels), model(pixels)) == 0.0
    sublayers = keras_private.sublayers
    assert [one.trainable for one in sublayers(loaded)] == [
        one.trainable for one in sublayers(model)
    ]
    if model.compiled:
        assert loaded.evaluate(pixels, labels, verbose=0) == model.evaluate(
            pixels, labels, verbose=0
        )
        assert max_difference(loaded.optimizer.variables, model.optimizer.variables) == 0.0
        for one in (model, loaded):
            keras.utils.set_random_seed(1)
            one.fit(pixels, labels, verbose=0)
        assert int(loaded.optimizer.iterations) == 3
        assert max_difference(loaded.weights, model.weights) == 0.0


@pytest.mark.filterwarnings("ignore:quantize calibrates on")
def test_an_h5_file_of_a_quantized_model(pixels, tmp_path, max_difference):
    model = small(preprocessing=IMAGENET)
    quantized = kb.quantize(model, IMAGENET.normalize(pixels))
    quantized.save(tmp_path / "x.h5")
    loaded = keras.models.load_model(tmp_path / "x.h5")
    assert model_preprocessing(loaded) == IMAGENET
    assert max_difference(loaded(pixels), quantized(pixels)) == 0.0


@pytest.mark.slow
def test_an_h5_file_that_is_compiled_anew(pixels, tmp_path):
    compiled(small(preprocessing=IMAGENET)).save(tmp_path / "x.h5")
    loaded = keras.models.load_model(tmp_path / "x.h5", compile=False)
    compiled(loaded).fit(pixels, np.zeros(4), verbose=0)
    assert int(loaded.optimizer.iterations) == 1


def test_a_class_of_the_users_own_is_found_first(tmp_path):
    class ImageModel(keras.Model):
        pass

    image = keras.Input((4, 4, 3))
    ImageModel(image, keras.layers.Conv2D(2, 1)(image)).save(tmp_path / "x.h5")
    with keras.saving.custom_object_scope({"ImageModel": ImageModel}):
        assert type(keras.models.load_model(tmp_path / "x.h5")) is ImageModel


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
