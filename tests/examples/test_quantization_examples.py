import os
import re
from pathlib import Path

import pytest

import keras_bottleneck as kb

pytest.importorskip("tensorflow", reason="the examples export")

DATA = os.environ.get("KERAS_BOTTLENECK_DATA")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(DATA is None, reason="KERAS_BOTTLENECK_DATA is not set"),
]


@pytest.fixture
def photos(tmp_path):
    """A folder of 24 photographs; the examples calibrate on half of them."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for photo in sorted((Path(DATA) / "imagenet_val100").glob("*.JPEG"))[:24]:
        (folder / photo.name).symlink_to(photo)
    return folder


@pytest.mark.full
@pytest.mark.filterwarnings("ignore:quantize calibrates on 12 images")
def test_quantize_mobilenet(run, photos, tmp_path, capsys):
    weights = Path(DATA) / "mobilenet_v2_1.0_224_imagenet.weights.h5"
    out = tmp_path / "out"
    run("quantize_mobilenet", photos, "--weights", weights, "--out", out)
    printed = capsys.readouterr().out
    assert printed.count("no problem found") == 2
    assert (out / "sensitivity.png").stat().st_size > 10_000
    names = {path.name for path in out.iterdir()}
    assert {"mobilenet_v2_int8.tflite", "mobilenet_v2_int8.onnx", "manifest.json"} <= names


@pytest.mark.full
def test_qat_cifar(run, tmp_path, capsys):
    run("qat_cifar", "--epochs", 2, "--images", 1500, "--output", tmp_path)
    printed = capsys.readouterr().out
    found = {
        name: float(value) for name, value in re.findall(r"^(\S[\w, -]*): ([\d.]+)%", printed, re.M)
    }
    assert found["float"] > 25
    assert abs(found["int8, quantization-aware"] - found["float"]) < 3
    assert (tmp_path / "cifar_int8.tflite").is_file()


@pytest.mark.filterwarnings("ignore:quantize calibrates on 12 images")
@pytest.mark.full
def test_torchvision_to_tflite(run, photos, tmp_path, capsys, trained):
    model = trained(kb.ResNet18(classes=10, classifier_activation="softmax"))
    weights = kb.weights.save(model, tmp_path / "resnet18.safetensors", "torchvision")
    arguments = ["--model", "ResNet18", "--weights", weights, "--classes", 10]
    run("torchvision_to_tflite", photos, *arguments, "--out", tmp_path / "out")
    assert "no problem found" in capsys.readouterr().out
    predictor = kb.runtime.load(tmp_path / "out" / "resnet18_int8.tflite")
    assert predictor.metadata.preprocessing.crop_fraction == 224 / 256
