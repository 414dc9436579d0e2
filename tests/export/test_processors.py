"""int8 ONNX files in a plain session, on processors with and without VNNI."""

import json
import shutil
import subprocess
import sys
import warnings

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from keras import layers

import keras_bottleneck as kb
from keras_bottleneck import processor
from keras_bottleneck.runtime import metadata, onnx_runtime
from keras_bottleneck.runtime.ports import Feed

EMULATOR = "qemu-x86_64-static"
# AVX2 and no VNNI.
EMULATED = [EMULATOR, "-cpu", "Haswell"]
RUN = """
import sys
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
images = np.load(sys.argv[2])
outputs = [session.run(None, {"image": image[None]})[0] for image in images]
np.save(sys.argv[3], np.concatenate(outputs))
"""


@pytest.fixture(scope="module")
def images(noise):
    return np.abs(noise(108, 12, 12, 3, seed=5))


@pytest.fixture(scope="module")
def model():
    """Kernels of one sign, whose sums of two products are the largest there are."""
    positive = keras.initializers.RandomUniform(0.5, 1.0, seed=0)
    image = x = keras.Input((12, 12, 3), name="photo")
    for filters, size, groups in ((8, 3, 1), (12, 1, 1), (8, 3, 4)):
        x = layers.Conv2D(
            filters, size, groups=groups, activation="relu", kernel_initializer=positive
        )(layers.Rescaling(1 / 8)(x))
    x = layers.DepthwiseConv2D(3, depthwise_initializer=positive)(x)
    x = layers.Dense(5, kernel_initializer=positive)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, x, name="positive")


@pytest.fixture(scope="module")
def folder(model, images, tmp_path_factory):
    """An export of each kind: `portable` and, needing VNNI, `unrestricted`."""
    folder = tmp_path_factory.mktemp("processors")
    for name, reduce_range in (("portable", True), ("unrestricted", False)):
        quantized = kb.quantize(model, images[:100], reduce_range=reduce_range)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            kb.export_model(quantized, folder, name=name, verify=images[100:])
        told = [str(one.message) for one in caught if "VNNI" in str(one.message)]
        assert len(told) == (processor.may_saturate() and not reduce_range)
    return folder


def exact(path, images):
    """The outputs where sums of products are 32 bits wide."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"image": image[None]})[0] for image in images])


def test_files_and_manifest_tell_which_kind_they_are(folder):
    listed = json.loads((folder / "manifest.json").read_text())["artifacts"]
    assert {name: entry["needs_vnni"] for name, entry in listed.items()} == {
        "portable_int8.onnx": False,
        "portable_int8.tflite": False,
        "unrestricted_int8.onnx": True,
        "unrestricted_int8.tflite": False,
    }
    for name, entry in listed.items():
        assert metadata.read(folder / name).needs_vnni == entry["needs_vnni"]
    assert kb.audit(folder / "portable_int8.onnx").problems == ()
    found = kb.audit(folder / "unrestricted_int8.onnx")
    # Not the depthwise kernels, whose products are added in 32 bits.
    assert len(found.needs_vnni) == 4
    assert found.int8_problems == ()
    assert found.problems[0].startswith("4 kernels, such as")


def test_the_option_is_set_where_file_and_processor_need_it(folder, tmp_path, monkeypatch):
    cases = {name: folder / f"{name}_int8.onnx" for name in ("portable", "unrestricted")}
    cases["foreign"] = tmp_path / "foreign.onnx"
    foreign = onnx.load(cases["portable"])
    del foreign.metadata_props[:]
    onnx.save(foreign, cases["foreign"])
    for flags, expected in (({"avx2"}, [False, True, True]), ({"avx_vnni"}, [False] * 3)):
        monkeypatch.setattr(processor, "flags", lambda flags=flags: frozenset(flags))
        monkeypatch.setattr(processor.platform, "machine", lambda: "x86_64")
        assert [onnx_runtime.needs_care(path) for path in cases.values()] == expected


def test_a_plain_session_gives_the_sums_of_32_bits(folder, images):
    path = folder / "portable_int8.onnx"
    feed = Feed({"image": images[100:]})
    plain = onnx_runtime.ONNX(path, plain=True).run(feed).single
    np.testing.assert_array_equal(plain, exact(path, images[100:]))
    np.testing.assert_array_equal(plain, kb.runtime.load(path).run(images[100:]))
    unrestricted = folder / "unrestricted_int8.onnx"
    loaded = kb.runtime.load(unrestricted).run(images[100:])
    np.testing.assert_array_equal(loaded, exact(unrestricted, images[100:]))


@pytest.mark.slow
def test_a_plain_session_without_vnni(folder, images, tmp_path):
    if shutil.which(EMULATOR) is None:
        pytest.skip(f"{EMULATOR} of Debian's qemu-user-static is not installed")
    np.save(tmp_path / "images.npy", images[100:])
    found = {}
    for name in ("portable", "unrestricted"):
        path, target = folder / f"{name}_int8.onnx", tmp_path / f"{name}.npy"
        arguments = ["-c", RUN, str(path), str(tmp_path / "images.npy"), str(target)]
        subprocess.run([*EMULATED, sys.executable, *arguments], check=True, timeout=300)
        found[name] = np.load(target), exact(path, images[100:])
    np.testing.assert_array_equal(*found["portable"])
    # So that the emulation would show it.
    emulated, right = found["unrestricted"]
    assert np.abs(emulated - right).max() > 0.1 * np.abs(right).max()


def test_programs_set_the_option_for_files_that_need_it(folder, images, model, tmp_path):
    preprocessing = kb.Preprocessing(12)
    for name, reduce_range in (("portable", True), ("unrestricted", False)):
        quantized = kb.quantize(model, images[:100], reduce_range=reduce_range)
        kb.export_model(quantized, tmp_path, ["onnx_int8"], name=name, preprocessing=preprocessing)
    programs = kb.export.write_snippets(tmp_path)
    texts = {path.name: path.read_text() for path in programs}
    for suffix in ("py", "cpp"):
        assert "x64quantprecision" in texts[f"unrestricted_int8_onnx.{suffix}"]
        assert "x64quantprecision" not in texts[f"portable_int8_onnx.{suffix}"]
