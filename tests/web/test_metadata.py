"""The browser's readers of metadata in .onnx and .tflite files, against what Python wrote."""

import json
import zipfile

import onnx
import pytest

from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.runtime import Metadata, metadata

DESCRIBED = Metadata(
    "pets",
    ("cat", "dög", "鳥", "a much longer name, " * 20),
    Preprocessing(
        (224, 192),
        resize="crop",
        crop_fraction=0.875,
        mean=(0.485, 0.456, 0.406),
        interpolation="bicubic",
    ),
    output_name="logits",
    versions={"keras": "3.15.1"},
)


@pytest.fixture
def read(node):
    """A function: what the readers of examples/web find in each of the files."""
    return lambda *paths: json.loads(node("metadata.mjs", *paths))


def onnx_file(path, weights=0):
    """A model that does nothing, with as many unused weights."""
    image = onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1])
    output = onnx.helper.make_tensor_value_info("output", onnx.TensorProto.FLOAT, [1])
    unused = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [weights], [0.5] * weights)
    node = onnx.helper.make_node("Identity", ["image"], ["output"])
    graph = onnx.helper.make_graph([node], "graph", [image], [output], [unused])
    model = onnx.helper.make_model(
        graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 17)], doc_string="x" * 300
    )
    onnx.helper.set_model_props(model, {"author": "someone", "keras": ""})
    onnx.save(model, path)
    return path


def tflite_file(path, size=1000):
    """The identifier of a TFLite file, and then nothing of one: the reader looks at its tail."""
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(range(256)) * (size // 256))
    return path


MAKERS = {"onnx": onnx_file, "tflite": tflite_file}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("described", [DESCRIBED, Metadata("x", None, None)], ids=["full", "bare"])
def test_reads_what_python_wrote(read, tmp_path, kind, described):
    paths = [MAKERS[kind](tmp_path / f"{size}.{kind}", size) for size in (0, 300, 70_000)]
    for path in paths:
        metadata.write(path, described)
    expected = json.loads(described.to_json())
    del expected["format"]
    assert read(*paths) == [{"metadata": expected}] * len(paths)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_file_without_metadata_has_none(read, tmp_path, kind):
    assert read(MAKERS[kind](tmp_path / f"model.{kind}")) == [{"metadata": None}]


@pytest.mark.parametrize("kind", MAKERS)
def test_metadata_of_a_newer_format_is_refused(read, tmp_path, kind, monkeypatch):
    path = MAKERS[kind](tmp_path / f"model.{kind}")
    monkeypatch.setattr(metadata, "FORMAT", 2)
    metadata.write(path, DESCRIBED)
    (found,) = read(path)
    assert "format 2" in found["error"]


def test_other_members_and_a_comment_do_not_matter(read, tmp_path):
    path = tflite_file(tmp_path / "model.tflite")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other.txt", "something else" * 50, zipfile.ZIP_DEFLATED)
    metadata.write(path, DESCRIBED)
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"written by a test"
    assert read(path)[0]["metadata"]["labels"] == list(DESCRIBED.labels)


def test_a_cut_tail_is_not_taken_for_a_file_without_metadata(read, tmp_path):
    path = tflite_file(tmp_path / "model.tflite")
    metadata.write(path, DESCRIBED)
    path.write_bytes(path.read_bytes()[:-5])
    assert "cut off" in read(path)[0]["error"]


def test_damaged_files_are_refused(read, tmp_path):
    whole = onnx_file(tmp_path / "model.onnx").read_bytes()
    cut, other = tmp_path / "cut.onnx", tmp_path / "other.onnx"
    cut.write_bytes(whole[:-7])
    other.write_bytes(b"This is a text and not a model. " * 9)
    assert all("no ONNX model" in found["error"] for found in read(cut, other))
