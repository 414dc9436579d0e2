"""Decoders on their way into files: up-sampled maps of sizes that do not divide evenly."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_bottleneck as kb
from keras_bottleneck.models import FPN

SIDE = 37


@pytest.fixture(scope="module")
def images():
    """Noise with the 1/f spectrum of photographs."""
    generator = np.random.default_rng(0)
    spectrum = np.fft.rfft2(generator.normal(size=(116, 3, SIDE, SIDE)))
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None])
    waves = np.fft.irfft2(spectrum / np.maximum(frequency, 1 / SIDE), (SIDE, SIDE))
    waves /= waves.std(axis=(2, 3), keepdims=True)
    return waves.transpose(0, 2, 3, 1).astype(np.float32)


def settled(model, images):
    """`model` with the batch norm statistics of real inputs: others make int8 chaotic."""
    for layer in model._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
    model(images[:64], training=True)
    return model


def pyramid(shape):
    """An FPN of three levels with the head of a detector: what each level says of each place."""
    backbone = kb.ResNet("basic", (1, 1), filters=(8, 12), include_top=False, input_shape=shape)
    network = FPN(backbone, 8)
    head = layers.Conv2D(3, 3, padding="same", activation="softmax", name="head")
    found = [layers.Reshape((-1, 3))(head(level)) for level in network.outputs]
    return keras.Model(network.input, layers.Concatenate(axis=1)(found), name="pyramid")


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape",
    [pytest.param((SIDE, SIDE, 3), marks=pytest.mark.full), (None, None, 3)],
    ids=["known", "unknown"],
)
@pytest.mark.full
def test_a_feature_pyramid(shape, images, tmp_path):
    model = settled(pyramid(shape), images)
    verify = images[100:]
    report = kb.export_model(model, tmp_path, verify=verify, image_size=SIDE)
    places = 19 * 19 + 10 * 10 + 5 * 5
    for artifact in report.artifacts:
        assert artifact.comparison.error <= 1e-5, artifact
        assert kb.runtime.load(artifact.path).run(verify).shape == (16, places, 3)
    # One operator for each step up, and one for the size that does not fit: twice 10 for 19.
    found = kb.audit(report["tflite"].path).operators
    assert (found["RESIZE_NEAREST_NEIGHBOR"], found["STRIDED_SLICE"], found["TILE"]) == (2, 1, 0)
    found = kb.audit(report["onnx"].path).operators
    assert (found["Resize"], found["Slice"], found["Tile"]) == (2, 1, 0)

    quantized = kb.quantize(model, images[:100])
    report = kb.export_model(quantized, tmp_path, verify=verify, image_size=SIDE)
    for artifact in report.artifacts:
        assert kb.audit(artifact.path).int8_problems == ()
    assert kb.audit(report["tflite_int8"].path).tensor_types["FLOAT32"] == 2


def segmenter(shape, activation="softmax"):
    backbone = kb.ResNet("basic", (1, 1), filters=(8, 12), include_top=False, input_shape=shape)
    return kb.ResUNet(backbone, 2, 4, activation, name="segmenter")


def taught(model, images, activation):
    """`model` when it has learnt a little: which pixels are bright."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=activation is None)
    model.compile(keras.optimizers.Adam(1e-2), loss)
    model.fit(images[:96], masks(images[:96]), batch_size=16, epochs=12, verbose=0)
    return settled(model, images)


def masks(images):
    return (images.mean(-1) > 0).astype(np.int32)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "activation", "name"),
    [
        pytest.param((SIDE, SIDE, 3), "softmax", "probabilities", marks=pytest.mark.full),
        ((None, None, 3), None, "logits"),
    ],
    ids=["known", "unknown"],
)
@pytest.mark.full
def test_a_segmenter(shape, activation, name, images, tmp_path):
    model = taught(segmenter(shape, activation), images, activation)
    verify = images[100:], masks(images[100:])
    report = kb.export_model(model, tmp_path, verify=verify, image_size=SIDE)
    right = model.predict(verify[0], verbose=0).argmax(-1) == verify[1]
    assert report.keras_accuracy == right.mean() > 0.8
    for artifact in report.artifacts:
        assert artifact.comparison.error <= 1e-5, artifact
        assert artifact.comparison.agreement > 0.999
        assert abs(artifact.comparison.accuracy - right.mean()) < 1e-3
        predictor = kb.runtime.load(artifact.path)
        assert predictor.output_name == name
        found = predictor.probabilities(list(verify[0][:2]))
        assert found.shape == (2, SIDE, SIDE, 2)
        np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)
        with pytest.raises(ValueError, match="a classifier of whole images"):
            predictor(verify[0][0])

    quantized = kb.quantize(model, images[:100])
    report = kb.export_model(quantized, tmp_path, verify=verify, image_size=SIDE)
    assert abs(report.keras_accuracy - right.mean()) < 0.02
    for artifact in report.artifacts:
        assert kb.audit(artifact.path).int8_problems == ()
        assert kb.runtime.load(artifact.path).output_name == name
        assert artifact.comparison.agreement > 0.95, artifact
        assert abs(artifact.comparison.accuracy - right.mean()) < 0.03
    assert kb.audit(report["tflite_int8"].path).tensor_types["FLOAT32"] == 2


@pytest.mark.slow
@pytest.mark.full
def test_masks_may_be_given_in_many_ways_and_must_fit(images, tmp_path):
    model = segmenter((SIDE, SIDE, 3))
    right = masks(images[100:])
    accuracies = {
        kb.export_model(model, tmp_path, ["tflite"], verify=(images[100:], given)).keras_accuracy
        for given in (right, right[..., None], np.eye(2)[right])
    }
    assert len(accuracies) == 1
    for wrong in (right[:, 1:], right[:, 0, 0], right[:3]):
        with pytest.raises(ValueError, match=r"`verify` must hold labels of shape .*37, 37"):
            kb.export_model(model, tmp_path, ["tflite"], verify=(images[100:], wrong))
