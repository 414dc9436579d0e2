"""The model of Keras's first tutorial on transfer learning, from a folder's labels to int8."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_bottleneck as kb
from keras_bottleneck.training import FineTune, finetune

from . import published

pytest.importorskip("tensorflow", reason="export needs TensorFlow")

SIDE = 128
# ImageNet's first classes are animals.
ANIMALS = 398


def backbone():
    """`keras.applications.MobileNetV2` without its head, with the published weights."""
    whole = published.mobilenet_v2()
    base = keras.applications.MobileNetV2(
        input_shape=(SIDE, SIDE, 3), include_top=False, weights=None
    )
    for layer, trained in zip(base.layers, whole.layers, strict=False):
        layer.set_weights(trained.get_weights())
    base.trainable = False
    return base


def tutorial():
    """As tensorflow.org/tutorials/images/transfer_learning builds it: a single logit."""
    image = keras.Input((SIDE, SIDE, 3))
    turned = [layers.RandomFlip("horizontal"), layers.RandomRotation(0.2)]
    x = keras.Sequential(turned, name="augmentation")(image)
    x = keras.applications.mobilenet_v2.preprocess_input(x)
    x = layers.GlobalAveragePooling2D()(backbone()(x, training=False))
    return keras.Model(image, layers.Dense(1)(layers.Dropout(0.2)(x)), name="tutorial")


@pytest.mark.slow
def test_finetuned_quantized_and_run(tmp_path):
    _, classes = published.photos()
    animals = (classes < ANIMALS).astype("int32")
    prepare = kb.Preprocessing((SIDE, SIDE), scale=1.0, resize="crop", crop_fraction=0.875)
    files = sorted((published.folder() / "imagenet_val100").glob("*.JPEG"))
    pixels = np.stack([prepare(file) for file in files])
    keras.utils.set_random_seed(0)
    model = tutorial()
    recipe = FineTune(epochs=1, stages=1, head_epochs=2, batch_size=16)
    held_out = np.arange(100) % 5 == 0
    history = finetune(
        model,
        (pixels[~held_out], animals[~held_out]),
        (pixels[held_out], animals[held_out]),
        recipe,
    ).history
    assert max(history["val_accuracy"]) >= 0.8

    quantized = kb.quantization.quantize(model, pixels, skip="unsupported")
    kb.export_model(
        quantized,
        tmp_path,
        labels=("other", "animal"),
        preprocessing=prepare,
        verify=(pixels, animals),
    )
    wanted = quantized.predict(pixels, verbose=0)[:, 0] > 0
    for kind in ("tflite", "onnx"):
        predictor = kb.runtime.load(tmp_path / f"tutorial_int8.{kind}")
        probabilities = predictor.probabilities(files)
        assert np.mean((probabilities[:, 1] > 0.5) == wanted) >= 0.98
        pairs = predictor(files[0])
        assert {label for label, _ in pairs} == {"other", "animal"}
        assert sum(probability for _, probability in pairs) == pytest.approx(1, abs=1e-5)
