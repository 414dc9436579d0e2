"""Files that cannot be loaded end in one sentence that names the path."""

import zipfile

import numpy as np
import pytest

from keras_bottleneck.runtime import load, metadata, storage

FILES = ["tflite", "onnx", "keras"]
KINDS = [*FILES, "saved_model"]


def refused(path):
    """The error of `load`, after checking its shape; test_probing has those of its trials."""
    with pytest.raises(ValueError, match="^`path` must be ") as error:
        load(path, trusted=True)
    message = str(error.value)
    assert message.endswith(f"Received: path={str(path)!r}")
    assert "\n" not in message
    assert error.value.__suppress_context__ or error.value.__context__ is None
    return message


def model_file(path):
    return path / "saved_model.pb" if path.is_dir() else path


@pytest.mark.parametrize("kind", KINDS)
def test_garbage(copied, kind):
    path = copied(kind)
    model_file(path).write_bytes(np.random.default_rng(0).bytes(5000))
    refused(path)


@pytest.mark.parametrize("kind", KINDS)
def test_text(copied, kind):
    path = copied(kind)
    model_file(path).write_text("version https://git-lfs.github.com/spec/v1\n")
    refused(path)


@pytest.mark.parametrize("kind", KINDS)
def test_empty(copied, kind):
    path = copied(kind)
    model_file(path).write_bytes(b"")
    refused(path)


@pytest.mark.parametrize("part", [0.01, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("kind", KINDS)
def test_truncated(copied, kind, part):
    path = copied(kind)
    whole = model_file(path).read_bytes()
    model_file(path).write_bytes(whole[: int(part * len(whole))])
    refused(path)


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9, 0.999])
def test_truncated_tail_of_tflite(copied, about, part):
    """The model before the tail is whole, but its preprocessing is lost: no silent nonsense."""
    path = copied("tflite")
    start = path.stat().st_size
    metadata.write(path, about)
    whole = path.read_bytes()
    path.write_bytes(whole[: start + int(part * (len(whole) - start))])
    assert "metadata at its end is cut off" in refused(path)


def test_flipped_byte_in_the_tail_of_tflite(copied, about):
    path = copied("tflite")
    start = path.stat().st_size
    metadata.write(path, about)
    whole = bytearray(path.read_bytes())
    whole[start + 200] ^= 1
    path.write_bytes(whole)
    assert "CRC" in refused(path)


def test_a_name_that_is_no_text(copied):
    path = copied("tflite")
    whole = path.read_bytes()
    assert b"serving_default_image" in whole
    path.write_bytes(whole.replace(b"serving_default_image", b"serving_defa\xfflt_image"))
    assert "can't decode byte 0xff" in refused(path)


def test_metadata_that_unpacks_to_gigabytes(copied):
    path = copied("tflite")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(storage.MEMBER, bytes(2 * storage.LONGEST))
    assert f"its member {storage.MEMBER} is longer than" in refused(path)


def test_saved_model_without_variables(copied):
    path = copied("saved_model")
    for file in (path / "variables").iterdir():
        file.unlink()
    refused(path)


def test_saved_model_without_signature(tmp_path):
    tf = pytest.importorskip("tensorflow")
    tf.saved_model.save(tf.Module(), str(tmp_path / "bare"))
    assert "no signature 'serving_default'" in refused(tmp_path / "bare")


def test_outputs_of_one_name_are_refused(tmp_path):
    keras = pytest.importorskip("keras")
    image, dense = keras.Input((2,)), keras.layers.Dense(2, name="twin")
    keras.Model(image, [dense(image), dense(-image)]).save(tmp_path / "two.keras")
    assert "2 outputs called 'twin'" in refused(tmp_path / "two.keras")


def test_integer_onnx_input_is_refused(tmp_path):
    onnx = pytest.importorskip("onnx")
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])],
        "integers",
        [value("x", onnx.TensorProto.INT64, [1, 2])],
        [value("y", onnx.TensorProto.INT64, [1, 2])],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    path = tmp_path / "integers.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
    assert "it takes tensor(int64)" in refused(path)


def test_unsafe_keras_files_stay_closed(tmp_path):
    """Keras's safe mode refuses Lambda layers, which hold code."""
    keras = pytest.importorskip("keras")
    layers = [keras.Input((2,)), keras.layers.Lambda(lambda x: x + 1)]
    keras.Sequential(layers).save(tmp_path / "lambda.keras")
    assert "Lambda" in refused(tmp_path / "lambda.keras")


@pytest.mark.parametrize("suffix", [".tflite", ".onnx", ".keras", ".TFLITE"])
def test_missing_file(tmp_path, suffix):
    message = refused(tmp_path / f"missing{suffix}")
    assert "an existing " in message


@pytest.mark.parametrize(
    ("name", "hint"),
    [("model.tflit", ".tflite"), ("model.onx", ".onnx"), ("model.kers", ".keras")],
)
def test_misspelt_suffix_suggests_the_nearest(tmp_path, name, hint):
    (tmp_path / name).write_bytes(b"")
    message = refused(tmp_path / name)
    assert f"did you mean {hint!r}?" in message
    assert "a .keras, .onnx, .tflite file or a folder with saved_model.pb" in message


@pytest.mark.parametrize("name", ["model.h5", "model", "model.zip"])
def test_unknown_suffix(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    assert "a .keras, .onnx, .tflite file" in refused(tmp_path / name)


def test_folder_without_model(tmp_path):
    assert "a folder with saved_model.pb" in refused(tmp_path)


@pytest.mark.parametrize("path", [None, 3, b"model.onnx"])
def test_wrong_type(path):
    with pytest.raises(ValueError, match="^`path` must be a .keras"):
        load(path)


def test_writing_metadata_needs_a_whole_artifact(tmp_path, about):
    with pytest.raises(ValueError, match="^`path` must be an existing TFLite file"):
        metadata.write(tmp_path / "missing.tflite", about)
    (tmp_path / "garbage.onnx").write_bytes(b"garbage")
    with pytest.raises(ValueError, match="^`path` must be a whole, readable ONNX file"):
        metadata.write(tmp_path / "garbage.onnx", about)
