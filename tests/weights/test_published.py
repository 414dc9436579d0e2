"""Published weights, from their files to files that run: as many images right as they should be."""

import csv

import numpy as np
import pytest

import keras_bottleneck as kb
from keras_bottleneck import runtime, weights

from ..quantization import published

pytestmark = pytest.mark.slow

RESNET20 = {
    "depths": (3, 3, 3),
    "filters": (16, 32, 64),
    "stem": "cifar",
    "shortcut": "pad",
    "classes": 10,
    "input_shape": (32, 32, 3),
}
PYTORCH = 1820  # of 2,000, by the code that the weights were published with
FORMATS = ("tflite", "onnx")


def right(probabilities, labels):
    return int(np.sum(np.asarray(probabilities).argmax(-1) == labels))


def test_resnet20(tmp_path):
    pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("tensorflow", reason="export needs TensorFlow")
    file = published.folder() / "cifar10_resnet20.th"
    model = kb.ResNet("basic", **RESNET20)
    with pytest.raises(ValueError, match="^`epsilon` must be given, as cifar10_resnet20.th does"):
        weights.load(model, file)
    weights.load(model, file, epsilon=1e-5)
    images, labels = published.cifar("test")
    keras_right = right(model.predict(images, batch_size=100, verbose=0), labels)

    mean, std = published.CIFAR["mean"], published.CIFAR["std"]
    preprocessing = kb.Preprocessing((32, 32), scale=1 / 255, mean=mean, std=std)
    report = {"preprocessing": preprocessing, "verify": images[:50]}
    kb.export_model(model, tmp_path, FORMATS, name="resnet20", **report)
    with np.load(published.folder() / "cifar10_9k.npz") as stored:
        pixels = stored["x_test"]
    found = {
        one: right(runtime.load(tmp_path / f"resnet20.{one}").probabilities(pixels), labels)
        for one in FORMATS
    }
    print(f"of {len(labels)} right: Keras {keras_right}, {found}")
    assert abs(keras_right - PYTORCH) <= 2
    assert found == {one: keras_right for one in FORMATS}


def test_resnet20_is_what_was_read_by_hand():
    """Against the reader of the quantization tests, which knows nothing of `weights`."""
    pytest.importorskip("torch", reason="torch is not installed")
    model = kb.ResNet("basic", classifier_activation=None, **RESNET20)
    weights.load(model, published.folder() / "cifar10_resnet20.th", epsilon=1e-5)
    images, _ = published.cifar("test", 100)
    wanted = published.resnet20().predict(images, verbose=0)
    assert np.abs(model.predict(images, verbose=0) - wanted).max() <= 1e-4


@pytest.mark.full
def test_mobilenet_v2(tmp_path):
    """From the weights to a file, and from a file and the JPEG files to classes."""
    pytest.importorskip("tensorflow", reason="export needs TensorFlow")
    folder = published.folder()
    model = kb.MobileNetV2(epsilon=1e-3)
    weights.load(model, folder / "mobilenet_v2_1.0_224_imagenet.weights.h5")
    images, labels = published.photos()
    keras_right = right(model.predict(images, batch_size=10, verbose=0), labels)
    logits = kb.MobileNetV2(epsilon=1e-3, classifier_activation=None)
    weights.load(logits, folder / "mobilenet_v2_1.0_224_imagenet.weights.h5")
    wanted = published.mobilenet_v2().predict(images[:20], verbose=0)
    assert np.abs(logits.predict(images[:20], verbose=0) - wanted).max() <= 1e-4

    report = {"preprocessing": published.IMAGENET, "verify": images[:20]}
    kb.export_model(model, tmp_path, FORMATS, name="mobilenet_v2", **report)
    source = folder / "imagenet_val100"
    with (source / "labels.csv").open(newline="") as file:
        paths = [source / row["file"] for row in csv.DictReader(file)]
    found = {
        one: right(runtime.load(tmp_path / f"mobilenet_v2.{one}").probabilities(paths), labels)
        for one in FORMATS
    }
    print(f"of {len(labels)} right: Keras {keras_right}, {found}")
    for count in (keras_right, *found.values()):
        assert abs(count - 70) <= 1


def test_another_epsilon_is_refused(refused):
    file = published.folder() / "mobilenet_v2_1.0_224_imagenet.weights.h5"
    assert "built with epsilon=0.001, as" in refused(kb.MobileNetV2(), file)
    symmetric = kb.MobileNetV2(epsilon=1e-3, padding="symmetric")
    assert "built with padding='same', as" in refused(symmetric, file)
