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
    later = (kb.analysis, kb.benchmarking, kb.reporting)
    for module in (kb, *folders, *later):
        for name in module.__all__:
            assert getattr(module, name) is not None
