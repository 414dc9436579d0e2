"""The programs beside exported files: filled in, and those in Python run without this package."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import keras_bottleneck as kb
from keras_bottleneck.export import write_snippets

pytest.importorskip("tensorflow", reason="export needs TensorFlow")

ALONE = """
import runpy, sys
for name in ("keras_bottleneck", "keras", "tensorflow"):
    sys.modules[name] = None  # importing it raises
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Paths of photographs in colour, in grey, with transparent parts and turned, of odd sizes."""
    folder = tmp_path_factory.mktemp("photos")
    blobs = np.random.default_rng(3).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    photo = Image.fromarray(blobs).resize((157, 83), Image.Resampling.BICUBIC)
    photo.save(folder / "colour.jpg", quality=90)
    photo.convert("L").save(folder / "grey.png")
    photo.resize((20, 61)).convert("RGBA").save(folder / "tall.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(folder / "turned.jpg", quality=90, exif=exif)
    return sorted(folder.iterdir())


@pytest.fixture
def files(exported, tmp_path):
    """A folder of exported float files of its own."""
    return shutil.copytree(exported[1], tmp_path / "files")


def answers(program, photos):
    """What a Python program prints: photo to [(label, probability), ...]."""
    done = subprocess.run(
        [sys.executable, "-c", ALONE, program, *photos], capture_output=True, text=True, check=True
    )
    found = {}
    for line in done.stdout.splitlines():
        path, label, probability = line.split("\t")
        found.setdefault(path, []).append((label, float(probability)))
    return found


def agree(program, artifact, photos):
    """The program's labels are those of `runtime.load`, its probabilities to 1e-4."""
    predictor = kb.runtime.load(artifact)
    found = answers(program, photos)
    for photo in photos:
        labels, probabilities = zip(*found[str(photo)], strict=True)
        answer = predictor(photo)
        pairs = [("value", answer)] if isinstance(answer, float) else answer
        expected, wanted = zip(*pairs, strict=True)
        assert labels == expected
        np.testing.assert_allclose(probabilities, wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_python_without_tensorflow(files, photos, kind):
    write_snippets(files)
    agree(files / "snippets" / f"small_{kind}.py", files / f"small.{kind}", photos)


def test_what_is_written(files):
    before = (files / "manifest.json").read_bytes()
    programs = write_snippets(files)
    assert {path.name for path in programs} == {
        *(f"small_tflite.{suffix}" for suffix in ("py", "kt", "swift")),
        *(f"small_float16_tflite.{suffix}" for suffix in ("py", "kt", "swift")),
        *(f"small_dynamic_tflite.{suffix}" for suffix in ("py", "kt", "swift")),
        *(f"small_onnx.{suffix}" for suffix in ("py", "cpp", "mjs")),
    }
    assert (files / "manifest.json").read_bytes() == before
    assert not list(files.glob(".export-*"))
    labels = (files / "snippets" / "small_labels.txt").read_text().splitlines()
    assert labels == [f"class {index}" for index in range(5)]
    for path in programs:
        assert "%%" not in path.read_text()
        assert path.stem.rsplit("_", 1)[0] in path.read_text()


def test_writing_again_replaces(files):
    (program, *_) = first = write_snippets(files)
    program.write_text("something else")
    assert write_snippets(files) == first
    assert "something else" not in program.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_cpp_compiles_and_preprocesses_as_python(build, photos, tmp_path, interpolation):
    """Pip brings no headers of ONNX Runtime: with those of `echo`, the model returns its input."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("needs a C++ compiler (`g++`) on the PATH")
    model, files = build(name="small"), tmp_path / "files"
    prepare = kb.Preprocessing(model.input_shape[1:3], interpolation=interpolation)
    with pytest.warns(UserWarning, match="noise"):
        kb.export_model(model, files, ["onnx"], preprocessing=prepare)
    write_snippets(files)
    source, program = files / "snippets" / "small_onnx.cpp", tmp_path / "classify"
    headers = Path(__file__).parent / "echo"
    warnings = ["-Wall", "-Wextra", "-Werror"]
    subprocess.run(
        [compiler, "-std=c++17", *warnings, source, "-I", headers, "-o", program], check=True
    )
    predictor = kb.runtime.load(files / "small.onnx")
    for photo in photos:
        with Image.open(photo) as image:
            image.convert("RGB").save(tmp_path / "photo.ppm")
        done = subprocess.run(
            [program, files / "small.onnx", files / "snippets/small_labels.txt", "photo.ppm"],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
        )
        found = [float(line.split("\t")[0]) for line in done.stdout.splitlines()]
        expected = predictor.preprocessing(tmp_path / "photo.ppm").ravel()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_integers_are_filled_in_and_run(tmp_path, photos, noise):
    """A crop, blue first, logits, no labels; int8 and uint8 inside and outside."""
    prepare = kb.Preprocessing(
        (16, 24),
        mean=(0.5, 0.4, 0.3),
        std=(0.25, 0.2, 0.3),
        resize="crop",
        crop_fraction=0.8,
        color_order="bgr",
    )
    model = kb.ResNet(
        "basic",
        (1,),
        filters=(8,),
        stem="cifar",
        classes=3,
        input_shape=prepare.input_shape,
        classifier_activation=None,
    )
    images = noise(100, *prepare.input_shape)
    quantized = kb.quantize(model, images)
    for kind in ("int8", "uint8"):
        kb.export_model(
            quantized,
            tmp_path,
            ["tflite_int8"],
            name=kind,
            io_type=kind,
            preprocessing=prepare,
            verify=images[:8],
        )
    write_snippets(tmp_path)
    for kind in ("int8", "uint8"):
        artifact = tmp_path / f"{kind}_int8.tflite"
        agree(tmp_path / "snippets" / f"{kind}_int8_tflite.py", artifact, photos)
        swift = (tmp_path / "snippets" / f"{kind}_int8_tflite.swift").read_text()
        scale, zero_point = _input_grid(artifact)
        assert f"/ {scale!r})" in swift
        assert f"+ ({zero_point})" in swift
    assert (tmp_path / "snippets" / "int8_int8_tflite.kt").exists()
    # LiteRT's Kotlin has no buffers of uint8.
    assert not (tmp_path / "snippets" / "uint8_int8_tflite.kt").exists()


def _input_grid(artifact):
    from ai_edge_litert.interpreter import Interpreter

    scale, zero_point = Interpreter(str(artifact)).get_input_details()[0]["quantization"]
    return float(scale), zero_point


@pytest.mark.parametrize(
    ("classes", "activation", "labels", "task"),
    [
        (1, "sigmoid", None, None),
        (3, "sigmoid", ("red", "round", "old"), None),
        (3, None, ("red", "round", "old"), "multi-label"),
        (2, None, ("age", "weight"), "regression"),
        (1, None, None, None),
    ],
)
def test_grey_models_of_every_task(tmp_path, photos, classes, activation, labels, task):
    prepare = kb.Preprocessing((12, 12), 1, mean=(0.3,), interpolation="bicubic")
    model = kb.ResNet(
        "basic",
        (1,),
        filters=(8,),
        stem="cifar",
        classes=classes,
        input_shape=prepare.input_shape,
        classifier_activation=activation,
        name="grey",
    )
    with pytest.warns(UserWarning, match="noise"):
        kb.export_model(model, tmp_path, ["onnx"], preprocessing=prepare, labels=labels, task=task)
    write_snippets(tmp_path)
    agree(tmp_path / "snippets" / "grey_onnx.py", tmp_path / "grey.onnx", photos)


def test_refusals(files, tmp_path, build):
    with pytest.raises(ValueError, match="`directory` must be a folder of export_model"):
        write_snippets(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="in which export_model wrote"):
        write_snippets(tmp_path / "empty")
    (files / "snippets").write_text("in the way")
    with pytest.raises(ValueError, match="without a file called snippets"):
        write_snippets(files)
    with pytest.warns(UserWarning, match="noise"):
        kb.export_model(build(name="raw"), tmp_path / "raw", ["onnx"])
    with pytest.raises(ValueError, match="raw.onnx: it carries no preprocessing"):
        write_snippets(tmp_path / "raw")
    assert not (tmp_path / "raw" / "snippets").exists()
