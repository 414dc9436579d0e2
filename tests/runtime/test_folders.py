"""The folder of an export, or of a run, opens its best artifact for this machine."""

import importlib.util
import json

import pytest

from keras_bottleneck.runtime import load, manifest

from .conftest import NAMES, copy_artifact

FORMATS = {"tflite": "tflite", "onnx": "onnx", "saved_model": "saved_model", "int8": "tflite_int8"}
MODULES = {"tflite": "ai_edge_litert", "onnx": "onnxruntime", "saved_model": "tensorflow"}
FILES = {**NAMES, "int8": "tiny_int8.tflite"}


def listed(folder, names):
    """Writes the manifest of an export of these artifacts, the worst first."""
    entries = {
        FILES[name]: {
            "format": FORMATS[name],
            "sha256": manifest.sha256_of(folder / FILES[name]),
            "size": manifest.size_of(folder / FILES[name]),
        }
        for name in reversed(names)
    }
    content = {"format": manifest.FORMAT, "artifacts": entries}
    (folder / manifest.MANIFEST).write_text(json.dumps(content))
    return folder


@pytest.fixture
def exported(artifacts, int8_file, tmp_path):
    """A function: a folder with these artifacts as `export_model` leaves it."""

    def make(*names, folder=tmp_path):
        folder.mkdir(exist_ok=True)
        for name in names:
            copy_artifact(int8_file if name == "int8" else artifacts[name], folder)
        return listed(folder, names)

    return make


@pytest.fixture
def without(monkeypatch):
    """A function: hides the runtimes of these kinds from whoever looks for them."""
    look = importlib.util.find_spec

    def hide(*kinds):
        hidden = {{**MODULES, "keras": "keras"}[kind] for kind in kinds}
        monkeypatch.setattr(
            importlib.util,
            "find_spec",
            lambda name, *rest: None if name in hidden else look(name, *rest),
        )

    return hide


def test_the_most_exact_file_is_opened(exported, images):
    folder = exported("tflite", "onnx", "saved_model", "int8")
    predictor = load(folder)
    assert predictor.path == folder / "tiny.tflite"
    assert repr(str(predictor.path)) in repr(predictor)
    assert predictor(images[0]) == load(folder / "tiny.tflite")(images[0])
    assert load(str(folder)).path == predictor.path


@pytest.mark.parametrize(
    ("missing", "opened"),
    [
        (("tflite",), "onnx"),
        (("tflite", "onnx"), "saved_model"),
        (("tflite", "onnx", "saved_model"), "tflite"),  # as none is there, the first
    ],
)
def test_what_is_not_installed_is_passed_over(exported, without, missing, opened):
    folder = exported("tflite", "onnx", "saved_model", "int8")
    without(*missing)
    assert load(folder).path == folder / NAMES[opened]


def test_int8_alone_is_opened(exported):
    folder = exported("int8")
    assert load(folder, threads=1).path == folder / "tiny_int8.tflite"


def test_what_is_listed_but_gone_is_passed_over(exported):
    folder = exported("tflite", "onnx")
    (folder / "tiny.tflite").unlink()
    assert load(folder).path == folder / "tiny.onnx"


def test_a_changed_file_is_refused_in_a_folder_too(exported):
    folder = exported("tflite", "onnx")
    with (folder / "tiny.tflite").open("ab") as file:
        file.write(b"more")
    with pytest.raises(ValueError, match="has another sha256"):
        load(folder)


def test_a_run_is_its_best_network(exported, artifacts, without, tmp_path):
    exported("onnx", folder=tmp_path / "exported")
    assert load(tmp_path).path == tmp_path / "exported" / "tiny.onnx"
    copy_artifact(artifacts["keras"], tmp_path).rename(tmp_path / "best.keras")
    assert load(tmp_path).path == tmp_path / "best.keras"
    without("keras")
    assert load(tmp_path).path == tmp_path / "exported" / "tiny.onnx"


@pytest.mark.parametrize("content", [None, "{}", '{"name": "a web page"}', "[1]"])
def test_other_folders(tmp_path, content):
    if content is not None:
        (tmp_path / manifest.MANIFEST).write_text(content)
    with pytest.raises(ValueError, match="or the folder of an export or a run") as error:
        load(tmp_path)
    assert str(error.value).endswith(f"Received: path={str(tmp_path)!r}")
