"""Models that take their image in a list or dict of one, as those of Keras 2, without a warning."""

import os
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_bottleneck as kb
from keras_bottleneck import keras_private

SAMPLES = 12
pytestmark = pytest.mark.slow
OTHER = "ignore:quantize calibrates on"


@pytest.fixture
def strict():
    """Keras's warning that the structure of the inputs is another one is an error."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="The structure of `inputs`")
        yield


def _predicted(model, images):
    return model.predict(keras_private.as_taken(model, images), verbose=0)


def used(model, images, labels, folder, formats):
    """The worst difference of the files of `model` and of its copies to what it gives itself."""
    expected = _predicted(model, images)
    kb.export.save_model(model, folder / "a.keras")
    report = kb.export_model(model, folder, formats, verify=(images, labels))
    found = [kb.runtime.load(folder / "a.keras").run(images)]
    found += [kb.runtime.load(one.path).run(images) for one in report.artifacts]
    found += [_predicted(kb.fold(model), images)]
    return max(float(np.abs(one - expected).max()) for one in found)


@pytest.mark.filterwarnings(OTHER)
@pytest.mark.parametrize("wrap", [lambda x: [x], lambda x: {"image": x}], ids=["list", "dict"])
def test_a_structure_of_one(wrap, strict, noise, tmp_path):
    image = keras.Input((16, 16, 3), name="image")
    x = keras.layers.Conv2D(4, 3, strides=2)(image)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(wrap(image), keras.layers.Dense(3, activation="softmax")(x))
    images, labels = noise(SAMPLES, 16, 16, 3), np.arange(SAMPLES) % 3
    assert used(model, images, labels, tmp_path, ["tflite"]) < 1e-5
    kb.training.recalibrate_batch_norm(model, images)
    quantized = kb.quantize(model, images)
    exported = kb.export_model(quantized, tmp_path, ["tflite_int8"], verify=(images, labels))
    assert exported["tflite_int8"].path.is_file()
    if isinstance(wrap(image), list):  # Keras's own `fit` warns of the other
        kb.training.Recipe(epochs=1, batch_size=4).fit(model, (images, labels))
        kb.quantization.distill(quantized, model).fit(images, verbose=0)


@pytest.mark.filterwarnings(OTHER)
def test_mlperf_tinys_file_of_keras_2(strict, noise, tmp_path):
    data = os.environ.get("KERAS_BOTTLENECK_DATA")
    path = Path(data or "") / "mlperf_tiny" / "pretrainedResnet.h5"
    if data is None or not path.is_file():
        pytest.skip("KERAS_BOTTLENECK_DATA has no MLPerf Tiny")
    model = keras.models.load_model(path)
    images, labels = 127.0 + 50.0 * noise(SAMPLES, 32, 32, 3), np.arange(SAMPLES) % 10
    formats = ["saved_model", "tflite", "onnx"]
    assert used(model, images, labels, tmp_path, formats) < 1e-4
    quantized = kb.quantize(model, images)
    kb.export_model(quantized, tmp_path, ["tflite_int8", "onnx_int8"], verify=(images, labels))
