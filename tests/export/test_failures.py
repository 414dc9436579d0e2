"""What cannot be exported right is not exported, and the directory stays as it was."""

import os
import re
import tempfile
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

import keras_bottleneck as kb
from keras_bottleneck.export import formats, tflite
from keras_bottleneck.export.errors import KEPT, log_folder, translated
from keras_bottleneck.export.source import Source


def wrong_in(layer_name):
    """A writer that gets one layer wrong, as a converter's bug would."""

    def write(source, path):
        if layer_name not in [layer.name for layer in source.model.layers]:
            return tflite.write_float32(source, path)
        layer = source.model.get_layer(layer_name)
        weights = layer.get_weights()
        layer.set_weights([weights[0] * 1.2, *weights[1:]])
        try:
            with tempfile.TemporaryDirectory() as scratch:
                wrong = Source(source.model, source.output_name, Path(scratch))
                tflite.write_float32(wrong, path)
        finally:
            layer.set_weights(weights)

    return write


@pytest.mark.parametrize(
    "layer_name",
    [
        "stem_conv",
        pytest.param("stage2_block1_second_conv", marks=pytest.mark.slow),
        pytest.param("stage2_block1_shortcut_conv", marks=pytest.mark.slow),
    ],
)
@pytest.mark.full
def test_the_first_layer_that_diverges_is_named(build, samples, tmp_path, monkeypatch, layer_name):
    row = formats.Format("{name}_wrong.tflite", wrong_in(layer_name), 1e-4)
    monkeypatch.setitem(formats.FORMATS, "wrong", row)
    target = tmp_path / "files"
    with pytest.raises(kb.export.ExportError, match=f"layer '{layer_name}' diverges first"):
        kb.export_model(build(), target, ["saved_model", "wrong"], verify=samples)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_failed_export_leaves_the_old_files_alone(build, samples, tmp_path, monkeypatch):
    model = build()
    kb.export_model(model, tmp_path / "files", ["tflite"], verify=samples)
    before = {path: path.read_bytes() for path in (tmp_path / "files").iterdir()}
    row = formats.Format("{name}_wrong.tflite", wrong_in("stem_conv"), 1e-4)
    monkeypatch.setitem(formats.FORMATS, "wrong", row)
    with pytest.raises(kb.export.ExportError):
        kb.export_model(model, tmp_path / "files", ["tflite", "wrong"], verify=samples)
    assert {path: path.read_bytes() for path in (tmp_path / "files").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["files"]


def test_a_model_with_nan_weights_is_not_exported(build, samples, tmp_path):
    model = build()
    model.layers[-1].set_weights([np.full_like(w, np.nan) for w in model.layers[-1].get_weights()])
    with pytest.raises(kb.export.ExportError, match="outputs of model 'small' itself are not fin"):
        kb.export_model(model, tmp_path / "files", ["tflite"], verify=samples)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.full
def test_new_folders_are_made_only_for_success(build, samples, tmp_path, monkeypatch):
    row = formats.Format("{name}_wrong.tflite", wrong_in("stem_conv"), 1e-4)
    monkeypatch.setitem(formats.FORMATS, "wrong", row)
    model = build()
    with pytest.raises(kb.export.ExportError):
        kb.export_model(model, tmp_path / "a" / "b" / "c", ["wrong"], verify=samples)
    assert list(tmp_path.iterdir()) == []
    kb.export_model(model, tmp_path / "a" / "b" / "c", ["tflite"], verify=samples)
    assert (tmp_path / "a" / "b" / "c" / "manifest.json").is_file()
    assert [path.name for path in tmp_path.rglob(".*")] == []


@pytest.mark.slow
def test_what_is_in_the_way_stays(build, samples, tmp_path):
    (tmp_path / "small.tflite").mkdir()
    (tmp_path / "small.tflite" / "mine.txt").write_text("mine")
    with pytest.raises(kb.export.ExportError, match="holds a folder called small.tflite"):
        kb.export_model(build(), tmp_path, ["onnx", "tflite"], verify=samples)
    assert [path.name for path in tmp_path.iterdir()] == ["small.tflite"]
    assert (tmp_path / "small.tflite" / "mine.txt").read_text() == "mine"


@pytest.mark.slow
def test_a_move_that_fails_halfway_is_taken_back(build, samples, tmp_path, monkeypatch):
    from keras_bottleneck.export import target_folder

    model = build()
    kb.export_model(model, tmp_path, ["saved_model", "tflite"], verify=samples)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    model.layers[-1].set_weights([weight * 0.5 for weight in model.layers[-1].get_weights()])
    replace, moves = target_folder.os.replace, []

    def failing(source, target):
        moves.append(target)
        if Path(target).name == "manifest.json":
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(target_folder.os, "replace", failing)
    with pytest.raises(kb.export.ExportError, match="No space left on device"):
        kb.export_model(model, tmp_path, ["saved_model", "tflite"], verify=samples)
    assert len(moves) > 4
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_linked_folder_on_another_file_system(build, samples, tmp_path):
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("this machine has no second file system at /dev/shm")
    with tempfile.TemporaryDirectory(dir=memory) as other:
        (tmp_path / "link").symlink_to(other)
        report = kb.export_model(build(), tmp_path / "link", ["tflite"], verify=samples)
        assert report["tflite"].path.is_file()
        assert sorted(path.name for path in Path(other).iterdir()) == [
            "manifest.json",
            "small.tflite",
        ]


@keras.saving.register_keras_serializable(package="tests")
class RegularizedBeta(layers.Layer):
    """A layer that TFLite has no operator for."""

    def call(self, x):
        import tensorflow as tf

        a = tf.abs(x) + 1.0
        return tf.math.betainc(a, a, tf.sigmoid(x))


@keras.saving.register_keras_serializable(package="tests")
class Borrowing(layers.Layer):
    """A layer with a variable that is not its own."""

    def call(self, x):
        return x * BORROWED[0]


BORROWED = []


@pytest.fixture
def logs(tmp_path_factory, monkeypatch):
    """The folder where log files go."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("KERAS_HOME", str(home))
    return home / "keras_bottleneck" / "logs"


def failed():
    with pytest.raises(kb.export.ExportError) as caught, translated("It"):
        raise TypeError("what a converter says")
    return Path(re.search(r"own words are in (.+)\.$", str(caught.value))[1])


def test_the_last_logs_are_kept_and_no_others(logs):
    written = []
    for number in range(KEPT + 3):
        written.append(failed())
        os.utime(written[-1], (1e9 + number, 1e9 + number))  # clocks of file systems are coarse
    (logs / "notes.log").write_text("the user's own")
    newest = failed()
    assert newest.parent == logs == log_folder()
    kept = [*written[-KEPT + 1 :], newest]
    assert sorted(logs.iterdir()) == sorted([*kept, logs / "notes.log"])
    assert "TypeError: what a converter says" in newest.read_text()


def test_a_home_that_cannot_be_written_costs_no_error(logs, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (logs.parent.parent / "keras_bottleneck").write_text("a file where the folder would be")
    assert failed().parent == tmp_path


def around(layer):
    image = keras.Input((32, 32, 3))
    x = layers.GlobalAveragePooling2D()(layer(layers.Conv2D(4, 3, name="first")(image)))
    return keras.Model(image, layers.Dense(5, "softmax")(x), name="exotic")


@pytest.mark.parametrize(
    ("format", "message", "original"),
    [
        (
            "tflite",
            "TFLite has no built-in operator for Betainc, which layer 'beta' needs",
            "Could not translate MLIR to FlatBuffer",
        ),
        (
            "onnx",
            "ONNX has no operator for Betainc, which layer 'beta' needs",
            "No Op registered for Betainc",
        ),
    ],
)
def test_an_operator_that_a_format_lacks_is_named_with_its_layer(
    samples, tmp_path, logs, format, message, original
):
    with pytest.raises(kb.export.ExportError, match=message) as caught:
        kb.export_model(
            around(RegularizedBeta(name="beta")), tmp_path / "files", [format], verify=samples
        )
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 600
    assert "loc(" not in said and "%0" not in said
    (log,) = logs.glob("keras_bottleneck_*.log")
    assert said.endswith(f"The library's own words are in {log}.")
    assert original in log.read_text()
    assert "Traceback" in log.read_text()
    assert re.search(r"https://github\.com/\S+/issues/\d+", said)
    assert list(tmp_path.iterdir()) == []


def test_a_variable_that_no_layer_owns_goes_into_the_file(samples, tmp_path):
    import tensorflow as tf

    BORROWED[:] = [tf.Variable(2.0)]
    model, images = around(Borrowing()), samples[0]
    kb.export_model(model, tmp_path, ["saved_model", "tflite"], name="two", verify=samples)
    expected = np.asarray(model(images))
    BORROWED[0].assign(3.0)
    kb.export_model(model, tmp_path, ["saved_model"], name="three", verify=samples)
    assert np.abs(np.asarray(model(images)) - expected).max() > 1e-3
    for name in ("two_saved_model", "two.tflite"):
        np.testing.assert_allclose(
            kb.runtime.load(tmp_path / name).run(images), expected, atol=1e-5
        )


def test_a_bare_operation_that_tflite_lacks_is_named(samples, tmp_path, logs):
    image = keras.Input((32, 32, 3))
    x = keras.ops.erfinv(keras.ops.tanh(layers.Conv2D(4, 3)(image)) * 0.5)
    model = keras.Model(image, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)))
    with pytest.raises(kb.export.ExportError, match="operator for Erfinv, which layer 'erfinv"):
        kb.export_model(model, tmp_path / "files", ["tflite"], verify=samples)


def test_a_file_that_its_runtime_refuses_is_no_export(build, samples, tmp_path, monkeypatch, logs):
    def write(source, path):
        path.write_bytes(b"version https://git-lfs.github.com/spec/v1")

    monkeypatch.setitem(formats.FORMATS, "cut", formats.Format("{name}.tflite", write, 1e-4))
    monkeypatch.setattr("keras_bottleneck.export.exporter.metadata.write", lambda *_: None)
    with pytest.raises(kb.export.ExportError, match="Running small.tflite failed.*Git LFS pointer"):
        kb.export_model(build(), tmp_path / "files", ["cut"], verify=samples)
    assert list(tmp_path.iterdir()) == []


def test_a_keras_file_with_an_unknown_class_says_what_to_import(tmp_path):
    class Unregistered(layers.Layer):
        def call(self, x):
            return x

    around(Unregistered()).save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="does not know Unregistered; import the module") as caught:
        kb.export.load_model(tmp_path / "model.keras")
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="does not know Unregistered; import the module"):
        kb.runtime.load(tmp_path / "model.keras")
