"""Layers and models may be called anything: files get names of their own, messages the user's."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_bottleneck as kb
from keras_bottleneck.export import formats
from keras_bottleneck.export.names import ScopeNames, file_name, scope_name
from tests.export.test_failures import wrong_in

SIZE = (16, 16, 3)


def build(name="my model v1.0"):
    image = keras.Input(SIZE, name="Eingabe für Bild")
    x = layers.Conv2D(4, 3, name="conv #1", bias_initializer="ones")(image)
    x = layers.ReLU(name="größe:a")(x)
    inside = keras.Input((14, 14, 4), name="9 in")
    y = layers.Conv2D(4, 1, name="conv #1")(layers.Conv2D(4, 1, name="_x")(inside))
    x = keras.Model(inside, y, name="inner model #2")(x)
    for taken in ("conv_#1", "conv__1", "image", "image_1", "9"):
        x = layers.Conv2D(4, 1, name=taken)(x)
    x = layers.GlobalAveragePooling2D(name="pool 1")(x)
    return keras.Model(image, layers.Dense(3, name="класс")(x), name=name)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(100, *SIZE)).astype(np.float32)


def test_names_of_all_kinds(images, tmp_path):
    model = build()
    report = kb.export_model(model, tmp_path, ["saved_model", "tflite", "onnx"], verify=images)
    assert [one.path.name for one in report.artifacts] == [
        *("my_model_v1.0_saved_model", "my_model_v1.0.tflite", "my_model_v1.0.onnx"),
    ]
    for artifact in report.artifacts:
        assert artifact.comparison.error <= 1e-5, artifact
    assert (report.name, report.model_name) == ("my_model_v1.0", "my model v1.0")
    assert "my_model_v1.0 (model 'my model v1.0')" in str(report)
    assert model.layers[1].name == "conv #1"


@pytest.mark.slow
def test_names_of_all_kinds_in_int8(images, tmp_path):
    quantized = kb.quantize(build(), images)
    for artifact in kb.export_model(quantized, tmp_path, verify=images).artifacts:
        assert artifact.comparison.error < 0.05, artifact
    assert quantized.get_layer("größe:a_quant") is not None


def test_messages_use_the_names_of_the_user(images, tmp_path, monkeypatch):
    # "conv__1" is taken: what "conv #1" is called in the file is nobody's business.
    name = ScopeNames.of(build()).new("conv #1")
    row = formats.Format("{name}_wrong.tflite", wrong_in(name), 1e-4)
    monkeypatch.setitem(formats.FORMATS, "wrong", row)
    with pytest.raises(kb.export.ExportError, match="layer 'conv #1' diverges first"):
        kb.export_model(build(), tmp_path / "files", ["wrong"], verify=images)


def test_a_wrong_name_that_was_given_is_refused(images, tmp_path):
    with pytest.raises(ValueError, match="`name` must be a file name .*: name='my model'$"):
        kb.export_model(build(), tmp_path, ["tflite"], verify=images, name="my model")


@pytest.mark.parametrize(
    ("name", "scope", "file"),
    [
        ("conv1", "conv1", "conv1"),
        ("conv #1", "conv__1", "conv__1"),
        ("größe:a", "gr__e_a", "größe_a"),
        ("_x", "layer_x", "_x"),
        ("9", "9", "9"),
        ("класс", "layer_____", "класс"),
        (".", ".", "model."),
        ("a b" * 50, "a_b" * 50, ("a_b" * 50)[:100]),
    ],
)
def test_nearest_names(name, scope, file):
    assert scope_name(name) == scope
    assert file_name(name) == file


def test_names_that_become_alike_stay_apart():
    names = ScopeNames(["a_b", "a b", "a#b"])
    made = [names.new(one) for one in ("a b", "a#b", "a_b")]
    assert made == ["a_b_2", "a_b_3", "a_b"]
    assert [names.original(one) for one in made] == ["a b", "a#b", "a_b"]
