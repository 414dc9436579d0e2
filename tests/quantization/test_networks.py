"""The networks of others: quantized, exported, and audited for operators in float."""

import importlib.util

import numpy as np
import pytest
from keras import applications, layers

import keras_bottleneck as kb

from ..marks import some_full
from . import runtimes

pytest.importorskip("tensorflow", reason="export needs TensorFlow")

SIDE = 64
SHAPE = (SIDE, SIDE, 3)


def waves(count):
    """Images with the spectrum of photographs, from -1 to 1."""
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft2(rng.normal(size=(count, 3, SIDE, SIDE)))
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None, :])
    images = np.fft.irfft2(spectrum / np.maximum(frequency, 1 / SIDE), (SIDE, SIDE))
    images /= 2 * images.std(axis=(1, 2, 3), keepdims=True)
    return np.clip(images, -1, 1).transpose(0, 2, 3, 1).astype(np.float32)


def settled(model, images):
    """`model` with the batch norm statistics of real inputs."""
    for layer in model._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
    model(images, training=True)
    return model


def application(name, **arguments):
    build = getattr(applications, name)
    return build(weights=None, input_shape=SHAPE, classifier_activation=None, **arguments)


def keras_hub_backbone():
    if importlib.util.find_spec("keras_hub") is None:
        pytest.skip("needs the optional package keras-hub")
    from keras_hub.models import ResNetBackbone

    return ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="bottleneck_block",
        image_shape=SHAPE,
    )


NETWORKS = {
    "ResNet50": lambda: application("ResNet50"),
    "MobileNetV2": lambda: application("MobileNetV2"),
    "MobileNetV3Small": lambda: application("MobileNetV3Small"),
    "EfficientNetB0": lambda: application("EfficientNetB0"),
    "DenseNet121": lambda: application("DenseNet121"),
    "KerasHub": keras_hub_backbone,
}
RAW_PIXELS = ("MobileNetV3Small", "EfficientNetB0")
# Of these the others have every operator, in fewer layers.
DEEP = ("ResNet50", "MobileNetV2", "MobileNetV3Small", "EfficientNetB0", "DenseNet121")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:quantize calibrates on", "ignore:One step at its input")
@pytest.mark.parametrize("name", some_full(NETWORKS, DEEP))
def test_a_network_becomes_int8_files_without_float_operators(name, tmp_path):
    images = waves(40)
    if name in RAW_PIXELS:
        images = np.rint(127.5 * (images + 1))
    model = settled(NETWORKS[name](), images)
    quantized = kb.quantize(model, images[:24])
    report = kb.export_model(quantized, tmp_path, verify=images[24:32])
    print(report)
    tflite = kb.audit(report["tflite_int8"].path)
    onnx = kb.audit(report["onnx_int8"].path)
    assert tflite.int8_problems == onnx.int8_problems == ()
    assert onnx.per_channel[1] == onnx.operators["Conv"]
    convolutions = tflite.operators["CONV_2D"] + tflite.operators["DEPTHWISE_CONV_2D"]
    assert tflite.per_channel[1] == convolutions
    # And ONNX Runtime does compute them so.
    fused = runtimes.fused_operators(report["onnx_int8"].path, tmp_path / "fused.onnx")
    assert fused["QLinearConv"] == onnx.operators["Conv"]
    assert fused["QGemm"] + fused["QLinearMatMul"] == onnx.operators["Gemm"]
    assert not {"Conv", "Gemm", "MatMul", "FusedConv", "FusedGemm", "FusedMatMul"} & set(fused)
    # The input and the output, which are float for the caller's sake.
    assert tflite.tensor_types["FLOAT32"] == 2
