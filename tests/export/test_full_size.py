"""The networks at their real size, on real photographs."""

import csv
import os
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_bottleneck as kb
from keras_bottleneck import data, training

pytestmark = pytest.mark.slow

FORMATS = ("saved_model", "tflite", "onnx")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """100 ImageNet photographs in ten folders, one for each hundred of class indices."""
    found = os.environ.get("KERAS_BOTTLENECK_DATA")
    if not found:
        pytest.skip("KERAS_BOTTLENECK_DATA does not name the folder with the photographs")
    source = Path(found) / "imagenet_val100"
    folder = tmp_path_factory.mktemp("photos")
    with (source / "labels.csv").open() as file:
        for row in csv.DictReader(file):
            hundred = folder / str(int(row["class_index"]) // 100)
            hundred.mkdir(exist_ok=True)
            (hundred / row["file"]).symlink_to(source / row["file"])
    return folder


def check(report):
    for artifact in report.artifacts:
        assert artifact.comparison.agreement == 1.0, artifact
        assert artifact.comparison.error <= 1e-5, artifact


@pytest.mark.full
def test_resnet50_from_fit_to_files(photos, tmp_path):
    images = data.image_folder(photos, 224, batch_size=8, validation_split=0.4)
    keras.utils.set_random_seed(0)
    model = kb.ResNet50(classes=10)
    training.Recipe(epochs=1).fit(model, images.train)
    report = kb.export_model(
        model,
        tmp_path,
        FORMATS,
        labels=images.class_names,
        preprocessing=images.preprocessing,
        verify=images.validation,
    )
    print(report)
    check(report)
    assert report.samples >= 30

    tflite = kb.audit(report["tflite"].path)
    assert tflite.operators == {
        "CONV_2D": 53,
        "ADD": 16,
        "PAD": 5,
        "MAX_POOL_2D": 1,
        "MEAN": 1,
        "FULLY_CONNECTED": 1,
        "SOFTMAX": 1,
    }
    assert set(tflite.tensor_types) == {"FLOAT32", "INT32"}
    assert tflite.problems == ()
    onnx = kb.audit(report["onnx"].path)
    assert onnx.operators["Conv"] == 53
    assert onnx.operators["BatchNormalization"] == 0
    assert onnx.operators["Mul"] == 0
    assert onnx.problems == ()

    path = next(photos.glob("*/*"))
    expected = model.predict(images.preprocessing(path)[None], verbose=0)[0]
    for artifact in report.artifacts:
        label, probability = kb.runtime.load(artifact.path)(path, top=1)[0]
        assert label == images.class_names[expected.argmax()]
        assert probability == pytest.approx(expected.max(), abs=1e-5)


@pytest.mark.full
@pytest.mark.parametrize("trained", [False, True], ids=["random", "imagenet"])
def test_keras_applications_mobilenet_v2(photos, trained, tmp_path):
    preprocessing = kb.Preprocessing(
        (224, 224), resize="crop", crop_fraction=224 / 256, scale=1 / 127.5, mean=(1.0,)
    )
    images = data.image_folder(photos, preprocessing=preprocessing, validation_split=0)
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2(weights=None)
    if trained:
        weights = "mobilenet_v2_1.0_224_imagenet.weights.h5"
        model.load_weights(Path(os.environ["KERAS_BOTTLENECK_DATA"]) / weights)
    report = kb.export_model(
        model,
        tmp_path,
        FORMATS,
        preprocessing=preprocessing,
        verify=images.train.map(lambda x, _: x),
    )
    print(report)
    check(report)
    assert report.samples == 100


@pytest.mark.full
@pytest.mark.parametrize("build", [kb.ResNet152, kb.MobileNetV2])
def test_deep_networks_export(build, statistics, tmp_path):
    model = statistics(build(input_shape=(64, 64, 3), classes=10, classifier_activation=None))
    images = np.random.default_rng(0).normal(size=(4, 64, 64, 3)).astype(np.float32)
    report = kb.export_model(model, tmp_path, ["tflite", "onnx"], verify=images)
    for artifact in report.artifacts:
        assert artifact.comparison.error <= 1e-4, artifact
