"""What the files carry about themselves."""

import json
import zipfile

import numpy as np
import pytest

from keras_bottleneck.runtime import Metadata, load, metadata

KINDS = ["tflite", "onnx", "saved_model", "keras"]


def content(path):
    """Every file of an artifact and its bytes."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {str(file.relative_to(path)): file.read_bytes() for file in files if file.is_file()}


def test_json_round_trip(about):
    assert Metadata.from_json(about.to_json()) == about
    assert json.loads(about.to_json())["format"] == 1
    plain = Metadata("plain", None, None)
    assert Metadata.from_json(plain.to_json()) == plain


def test_order_of_versions_does_not_change_the_text():
    first, second = {"keras": "3", "numpy": "2"}, {"numpy": "2", "keras": "3"}
    texts = {Metadata("tiny", None, None, versions=order).to_json() for order in (first, second)}
    assert len(texts) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_write_then_read(copied, kind, about):
    path = copied(kind)
    assert metadata.read(path) is None
    metadata.write(path, about)
    assert metadata.read(path) == about
    assert metadata.read(str(path)) == about


@pytest.mark.parametrize("kind", KINDS)
def test_writing_again_replaces_and_is_deterministic(copied, kind, about):
    path = copied(kind)
    metadata.write(path, about)
    once = content(path)
    metadata.write(path, Metadata("other", None, None))
    assert metadata.read(path) == Metadata("other", None, None)
    metadata.write(path, about)
    assert content(path) == once


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_stays_the_same(copied, kind, about, bare):
    path = copied(kind)
    metadata.write(path, about)
    batch = np.random.default_rng(0).normal(size=(2, 12, 10, 3)).astype(np.float32)
    np.testing.assert_array_equal(load(path).run(batch), load(bare()[kind]).run(batch))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_beside_the_artifact(copied, kind, about):
    path = copied(kind)
    metadata.write(path, about)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert not list(path.parent.rglob("*.part"))


def test_tflite_tail_is_a_zip_with_labels(copied, about, bare):
    path = copied("tflite")
    metadata.write(path, about)
    assert path.read_bytes().startswith(bare()["tflite"].read_bytes())
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["keras_bottleneck.json", "labels.txt"]
        assert archive.read("labels.txt").decode() == "ant\nbee\ncat\ndögs\n"
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_tflite_loses_old_labels_with_new_metadata(copied, about):
    path = copied("tflite")
    metadata.write(path, about)
    metadata.write(path, Metadata("other", None, None))
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["keras_bottleneck.json"]


def test_tail_of_another_tool_is_kept(copied, about):
    path = copied("tflite")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("vocabulary.txt", "a b c")
    assert metadata.read(path) is None
    metadata.write(path, about)
    with zipfile.ZipFile(path) as archive:
        assert archive.read("vocabulary.txt") == b"a b c"
    assert metadata.read(path) == about


def test_keras_still_loads_the_file(copied, about):
    import keras

    path = copied("keras")
    metadata.write(path, about)
    assert keras.models.load_model(path).name == "tiny"


def test_onnx_keeps_other_properties(copied, about):
    import onnx

    path = copied("onnx")
    model = onnx.load(str(path))
    model.metadata_props.add(key="author", value="someone")
    onnx.save(model, str(path))
    metadata.write(path, about)
    found = {prop.key: prop.value for prop in onnx.load(str(path)).metadata_props}
    assert found == {"author": "someone", "keras_bottleneck": about.to_json()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format=2), "`format` must be 1: a newer keras_bottleneck wrote this"),
        (lambda c: c.update(format=0), "`format` must be 1. Received: format=0"),
        (lambda c: c.update(format="1"), "integer `format`"),
        (lambda c: c.pop("format"), "integer `format`"),
        (lambda c: c.pop("labels"), "JSON object with the fields input_name, inputs, labels"),
        (lambda c: c.update(colour=1), "JSON object with the fields"),
        (lambda c: c.update(name=3), "`name` must be a string"),
        (lambda c: c.update(input_name=None), "`input_name` must be a string"),
        (lambda c: c.update(output_name="scores"), "`output_name` must be one of"),
        (lambda c: c.update(labels="abcd"), "`labels` must be a sequence"),
        (lambda c: c.update(labels=[]), "`labels` must be a sequence"),
        (lambda c: c.update(labels=["a", 1]), "`labels` must be .* Received: labels=1"),
        (lambda c: c.update(labels=["a\nb"]), "`labels` must be "),
        (lambda c: c.update(labels=[""]), "`labels` must be "),
        (lambda c: c.update(versions=["keras"]), "`versions` must be a dict"),
        (lambda c: c.update(versions={"keras": 3}), "`versions` must be a dict"),
        (lambda c: c.update(preprocessing={"scale": 1}), "`config` must be a dict with the keys"),
        (lambda c: c.update(preprocessing=[1]), "`config` must be a dict with the keys"),
        (lambda c: c["preprocessing"].update(channels=0), "`channels` must be"),
    ],
)
@pytest.mark.parametrize("kind", ["tflite", "saved_model"])
def test_wrong_json(about, change, message, copied, kind):
    config = json.loads(about.to_json())
    change(config)
    with pytest.raises(ValueError, match=message):
        Metadata.from_json(json.dumps(config))
    # The same text inside a file: the error names the file as well.
    path = copied(kind)
    store_text(path, json.dumps(config))
    with pytest.raises(ValueError, match=message) as error:
        metadata.read(path)
    assert str(error.value).startswith("`path` must be a whole, readable ")
    assert str(path) in str(error.value)


def store_text(path, text):
    if path.is_dir():
        (path / "assets.extra").mkdir()
        (path / "assets.extra" / "keras_bottleneck.json").write_text(text)
        return
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("keras_bottleneck.json", text)


@pytest.mark.parametrize("text", ["", "{", "[1]", "3", "null", "[" * 100_000, b"\xff", None])
def test_broken_json(text):
    with pytest.raises(ValueError, match="^`text` must be ") as error:
        Metadata.from_json(text)
    assert len(str(error.value)) < 200


def test_wrong_preprocessing():
    with pytest.raises(ValueError, match="^`preprocessing` must be a Preprocessing or None"):
        Metadata("tiny", None, {"scale": 1})
