import json

import keras
import numpy as np
import pytest

import keras_bottleneck as kb
from keras_bottleneck.benchmarking import BenchmarkReport, Cell

pytest.importorskip("tensorflow", reason="models are judged, and exported, with TensorFlow")
pytest.importorskip("jinja2", reason="the page is a jinja2 template")

# What must not become markup, nor mathematics.
CLASSES = ("<script>alert(1)</script>", "a & b", "$x^2$", 'a name as "long" as that of a species')


@pytest.fixture(scope="session")
def network():
    keras.utils.set_random_seed(0)
    return kb.ResNet(
        "basic", (1,), filters=(8,), stem="cifar", input_shape=(8, 8, 3), classes=4, name="page"
    )


@pytest.fixture(scope="session")
def images():
    """60 images as `Preprocessing(8)` makes them, with labels of four classes."""
    rng = np.random.default_rng(0)
    return rng.uniform(size=(60, 8, 8, 3)).astype(np.float32), np.arange(60) % 4


@pytest.fixture(scope="session")
def exported(network, images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    kb.export_model(network, folder, ["tflite"], verify=images)
    return folder


@pytest.fixture(scope="session")
def build_run(network, exported):
    """A function: makes a run folder with all parts inside another folder."""
    return lambda folder: fill(folder / "run", network, exported)


@pytest.fixture
def run(build_run, tmp_path):
    """A run folder with all parts."""
    return build_run(tmp_path)


def fill(folder, network, exported):
    folder.mkdir()
    settings = {"data": "/home/<me>/flowers", "epochs": 3, "augment": ["flip", "crop"]}
    (folder / "config.json").write_text(json.dumps({"verb": "train", "settings": settings}))
    lines = ["epoch,accuracy,loss,val_accuracy,val_loss"]
    lines += [f"{epoch},{0.3 + epoch / 10},{1.0 / (1 + epoch)},0.4,0.9" for epoch in range(3)]
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    kb.export.save_model(network, folder / "best.keras", CLASSES, kb.Preprocessing(8))
    (folder / "exported").mkdir()
    for file in exported.iterdir():
        (folder / "exported" / file.name).write_bytes(file.read_bytes())
    cells = (
        Cell("tflite", "tflite", "float32", 1, "ok", 9000, 0.4, None, 1e-7, 1.0, 2, 1, 2, 900, 6e7),
        Cell("onnx", "onnx", "float32", 1, "Layer <b> has no operator."),
    )
    report = BenchmarkReport("page", 60, True, "40 training images", "Linux", cells, min_top1=0.5)
    (folder / "benchmark").mkdir()
    (folder / "benchmark" / "benchmark.json").write_text(report.to_json())
    return folder
