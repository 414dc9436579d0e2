"""Every block that is no residual block of ResNet's or MobileNet's, to files that are run."""

import keras
import numpy as np
import pytest

import keras_bottleneck as kb
from keras_bottleneck import layers

CLASSES = 5
# How many convolutions are left of each when it is folded.
BLOCKS = {
    "asymmetric": (lambda x: layers.AsymmetricConv2D(8, activation="relu")(x), 1),
    "asymmetric_stride": (lambda x: layers.AsymmetricConv2D(12, 5, 2)(x), 1),
    "repvgg": (lambda x: layers.RepVGGBlock(8)(x), 1),
    "repvgg_stride": (lambda x: layers.RepVGGBlock(12, 2)(x), 1),
    "separable": (lambda x: layers.SeparableConvNormAct(12, 5, 2)(x), 2),
    "factorized": (lambda x: layers.FactorizedConvNormAct(12, 3, 2)(x), 2),
    "basic_separable": (lambda x: layers.BasicBlock(8, conv="separable")(x), 4),
    "basic_factorized": (lambda x: layers.BasicBlock(12, 2, conv="factorized")(x), 5),
    "basic_asymmetric": (lambda x: layers.BasicBlock(8, conv="asymmetric")(x), 2),
    "bottleneck_asymmetric": (lambda x: layers.Bottleneck(4, 2, conv="asymmetric")(x), 4),
    "darknet": (lambda x: layers.DarknetBottleneck(8)(x), 2),
    "darknet_stride": (lambda x: layers.DarknetBottleneck(12, 2, activation="relu")(x), 2),
    "csp": (lambda x: layers.CSPLayer(12, blocks=2)(x), 7),
}


@pytest.fixture(params=BLOCKS)
def case(request, noise):
    """A classifier around a block, with the statistics of images; convolutions in its files."""
    make, convolutions = BLOCKS[request.param]
    image = keras.Input((16, 16, 3))
    x = make(layers.ConvNormAct(8, name="stem")(image))
    x = keras.layers.GlobalAveragePooling2D()(layers.ConvNormAct(8, 1, name="last")(x))
    x = keras.layers.Dense(CLASSES, "softmax")(x)
    model = keras.Model(image, x, name=request.param)
    kb.training.recalibrate_batch_norm(model, noise(64, 16, 16, 3))
    return model, convolutions + 2


def convolutions_in(found):
    kinds = ("CONV_2D", "DEPTHWISE_CONV_2D", "Conv")
    return sum(found.operators[kind] for kind in kinds)


@pytest.mark.slow
def test_a_block_is_exported_in_float(case, noise, tmp_path):
    model, convolutions = case
    formats = ("saved_model", "tflite", "onnx")
    report = kb.export_model(model, tmp_path, formats, verify=noise(8, 16, 16, 3, seed=1))
    for artifact in report.artifacts:
        assert artifact.comparison.error <= 1e-5, artifact
    for kind in ("tflite", "onnx"):
        assert convolutions_in(kb.audit(report[kind].path)) == convolutions


@pytest.mark.slow
def test_a_block_is_quantized_and_exported_in_int8(case, noise, tmp_path):
    model, convolutions = case
    quantized = kb.quantize(model, noise(100, 16, 16, 3))
    report = kb.export_model(quantized, tmp_path, verify=noise(16, 16, 16, 3, seed=1))
    for kind in ("tflite_int8", "onnx_int8"):
        found = kb.audit(report[kind].path)
        assert found.int8_problems == ()
        assert convolutions_in(found) == convolutions


MODELS = {
    "csp_darknet": lambda **k: kb.CSPDarknet(width=0.25, **k),
    "separable": lambda **k: kb.ResNet("basic", (1, 1), filters=(8, 16), conv="separable", **k),
    "asymmetric": lambda **k: kb.ResNet("bottleneck", (1,), filters=(8,), conv="asymmetric", **k),
}


@pytest.mark.slow
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_model_is_trained_and_exported_in_float_and_int8(make, noise, tmp_path):
    images = noise(100, 32, 32, 3)
    model = make(input_shape=(32, 32, 3), classes=CLASSES)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(images[:32], np.arange(32) % CLASSES, batch_size=16, verbose=0)
    kb.training.recalibrate_batch_norm(model, images)
    report = kb.export_model(model, tmp_path / "float", ("tflite", "onnx"), verify=images[:8])
    for artifact in report.artifacts:
        assert artifact.comparison.error <= 1e-5, artifact
    report = kb.export_model(kb.quantize(model, images), tmp_path / "int8", verify=images[:16])
    for kind in ("tflite_int8", "onnx_int8"):
        assert kb.audit(report[kind].path).int8_problems == ()
