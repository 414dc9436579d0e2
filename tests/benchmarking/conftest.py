from dataclasses import replace

import keras
import pytest

import keras_bottleneck as kb
from keras_bottleneck.benchmarking import BenchmarkReport, Cell

pytest.importorskip("tensorflow", reason="a benchmark exports")


@pytest.fixture(scope="session")
def scans():
    pytest.importorskip("sklearn", reason="the scans come with scikit-learn")
    return kb.data.digits(image_size=16)


@pytest.fixture(scope="session")
def run(scans, tmp_path_factory):
    """A run folder: a network trained on the scans until it gets most of them right."""
    keras.utils.set_random_seed(0)
    model = kb.ResNet(
        "basic",
        (1,),
        filters=(16,),
        stem="cifar",
        input_shape=scans.preprocessing.input_shape,
        classes=10,
        name="scans",
    )
    folder = tmp_path_factory.mktemp("run")
    kb.training.Recipe(epochs=3, learning_rate=1e-2).fit(model, scans.train, scans.validation)
    path = folder / "best.keras"
    kb.export.save_model(model, path, scans.class_names, scans.preprocessing)
    return folder


@pytest.fixture(scope="session")
def report():
    """What a benchmark may find: files that ran, one that failed, two numbers of threads."""
    rows = (
        ("keras", "keras", "float32", 1, "ok", 400_000, 0.91, 0.99, 0.0, 1.0, 90, 20, 25, 50, 6e8),
        ("tflite", "tflite", "float32", 1, "ok", 330_000, 0.91, 0.99, 1e-7, 1.0, 2, 1, 1, 990, 6e7),
        ("tflite_int8", "tflite", "int8", 1, "ok", 99_000, 0.9, 0.98, 0.1, 0.9, 1, 1, 2, 1800, 5e7),
        ("onnx", "onnx", "float32", 1, "ok", 340_000, 0.91, 0.99, 1e-7, 1.0, 9, 3, 4, 333, 9e7),
        ("onnx_int8", "onnx", "int8", 1, "Layer 'a|b' has no int8 operator."),
    )
    cells = [Cell(*row) for row in rows]
    doubled = [replace(cell, threads=2, p50_ms=cell.p50_ms and cell.p50_ms / 1.7) for cell in cells]
    return BenchmarkReport(
        model="scans",
        images=256,
        labelled=True,
        calibrated_on="512 training images",
        machine="Linux on x86_64, 2 CPUs",
        cells=(*cells, *doubled),
    )
