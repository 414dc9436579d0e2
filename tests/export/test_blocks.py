"""Every block that is no residual block of ResNet's or MobileNet's, to files that are run."""

import keras
import pytest

import keras_bottleneck as kb
from keras_bottleneck import layers

from ..marks import some_full

CLASSES = 5
# How many convolutions are left of each when it is folded.
BLOCKS = {
    "asymmetric": (lambda x: layers.AsymmetricConv2D(12, 5, 2, activation="relu")(x), 1),
    "repvgg": (lambda x: layers.RepVGGBlock(12, 2)(x), 1),
    "separable": (lambda x: layers.SeparableConvNormAct(12, 5, 2)(x), 2),
    "factorized": (lambda x: layers.FactorizedConvNormAct(12, 3, 2)(x), 2),
    "basic_separable": (lambda x: layers.BasicBlock(8, conv="separable")(x), 4),
    "bottleneck_asymmetric": (lambda x: layers.Bottleneck(4, 2, conv="asymmetric")(x), 4),
    "darknet": (lambda x: layers.DarknetBottleneck(12, 2, activation="relu")(x), 2),
    "csp": (lambda x: layers.CSPLayer(12, blocks=2)(x), 7),
}


# Made of the same convolutions as the others.
ALIKE = ("factorized", "basic_separable", "bottleneck_asymmetric", "darknet", "csp")


@pytest.fixture(params=some_full(BLOCKS, ALIKE))
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
@pytest.mark.full
def test_a_block_is_exported_in_float_and_int8(case, noise, tmp_path):
    model, convolutions = case
    verify = noise(16, 16, 16, 3, seed=1)
    report = kb.export_model(model, tmp_path / "float", ("tflite", "onnx"), verify=verify)
    for artifact in report.artifacts:
        assert artifact.comparison.error <= 1e-5, artifact
        assert convolutions_in(kb.audit(artifact.path)) == convolutions

    quantized = kb.quantize(model, noise(100, 16, 16, 3))
    for artifact in kb.export_model(quantized, tmp_path / "int8", verify=verify).artifacts:
        found = kb.audit(artifact.path)
        assert found.int8_problems == ()
        assert convolutions_in(found) == convolutions
