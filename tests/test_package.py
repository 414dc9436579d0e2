"""What importing the package costs, and what it needs."""

import os
import subprocess
import sys

import keras
import pytest

import keras_bottleneck as kb

LAZY = (
    "tf2onnx",
    "onnx",
    "onnxruntime",
    "ai_edge_litert",
    "matplotlib",
    "sklearn",
    "typer",
    "jinja2",
)


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_import_loads_no_runtime_and_no_converter():
    code = f"""
import keras, sys
before = set(sys.modules)
import keras_bottleneck
print([name for name in {LAZY} if name in sys.modules and name not in before])
"""
    done = run(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_names_are_imported_when_they_are_asked_for():
    code = """
import sys, keras_bottleneck as kb
print([name for name in ("keras", "tensorflow", "numpy") if name in sys.modules])
kb.runtime, kb.Preprocessing, kb.__version__
print([name for name in ("keras", "tensorflow") if name in sys.modules])
print("ResNet50" in dir(kb), kb.ResNet50.__name__)
"""
    done = run(code)
    assert done.stdout.splitlines() == ["[]", "[]", "True ResNet50"], done.stderr


SLOW = (pytest.mark.slow, pytest.mark.full)


@pytest.mark.parametrize(
    "imports",
    [
        "import keras_bottleneck, keras",
        pytest.param("import keras, keras_bottleneck", marks=SLOW),
        pytest.param("import keras_bottleneck.layers, keras", marks=SLOW),
        pytest.param("from keras_bottleneck.quantization import pairs; import keras", marks=SLOW),
        pytest.param("from keras_bottleneck import cli; import keras", marks=SLOW),
    ],
)
def test_files_load_whatever_was_imported_first(imports, tmp_path):
    image = keras.Input((8, 8, 3))
    x = kb.layers.ConvNormAct(4, 3)(image)
    model = keras.Model(image, keras.layers.Dense(3)(keras.layers.GlobalMaxPooling2D()(x)))
    model.compile(loss=kb.training.SmoothedCrossentropy(0.1))
    model.save(tmp_path / "model.keras")
    done = run(f"{imports}; keras.models.load_model({str(tmp_path / 'model.keras')!r})")
    assert done.returncode == 0, done.stderr


def test_a_name_that_is_not_there():
    name = "ResNet5"
    with pytest.raises(
        AttributeError, match="module 'keras_bottleneck' has no attribute 'ResNet5'"
    ):
        getattr(kb, name)


def test_other_backends_import_no_tensorflow():
    backend = keras.config.backend()
    if backend == "tensorflow":
        pytest.importorskip("jax", reason="jax is not installed")
        backend = "jax"
    code = """
import sys, keras_bottleneck as kb
kb.fold(kb.ResNet("basic", (1,), filters=(8,), stem="cifar", classes=3))
print("tensorflow" in sys.modules)
"""
    done = run(code, KERAS_BACKEND=backend)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "False"


@pytest.mark.skipif(
    keras.config.backend() == "tensorflow", reason="the TensorFlow backend can export"
)
def test_export_says_that_it_needs_the_tensorflow_backend(tmp_path):
    model = kb.ResNet("basic", (1,), filters=(8,), stem="cifar", classes=3)
    with pytest.raises(ValueError, match="needs Keras on the tensorflow backend"):
        kb.export_model(model, tmp_path / "files")
    assert list(tmp_path.iterdir()) == []


def test_every_public_name_exists():
    folders = (kb.layers, kb.models, kb.graph, kb.export, kb.runtime, kb.training, kb.data)
    later = (kb.analysis, kb.benchmarking, kb.evaluation, kb.reporting)
    for module in (kb, *folders, *later):
        for name in module.__all__:
            assert getattr(module, name) is not None
