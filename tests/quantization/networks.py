"""The networks that the simulation is tried on, quantized and exported, and their images."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers

import keras_bottleneck as kb

from . import published


@dataclass
class Case:
    """A quantized network with its two files, and images."""

    name: str
    model: keras.Model
    tflite: Path
    onnx: Path
    images: np.ndarray


def made(name, folder):
    """The case called `name`, its files in `folder`."""
    model, calibration, images = {
        "small": _small,
        "resnet20": _resnet20,
        "mobilenet_v2": _mobilenet_v2,
    }[name]()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "quantize calibrates on", UserWarning)
        quantized = kb.quantize(model, calibration)
    report = kb.export_model(quantized, folder, name=name, verify=images[:16])
    return Case(name, quantized, report["tflite_int8"].path, report["onnx_int8"].path, images)


def _resnet20():
    return published.resnet20(), published.cifar("train", 256)[0], published.cifar("test")[0]


def _mobilenet_v2():
    images, _ = published.photos()
    # What calibration has seen makes no difference to whether runtimes agree.
    return published.mobilenet_v2(), images[::2], images


def _small():
    """A network with each operator that has a rule of its own, given weights and noise."""
    model = small()
    generator = np.random.default_rng(0)
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([_drawn(generator, layer, one) for one in layer.get_weights()])
    images = waves(228)
    return model, images[:128], images[128:]


def small():
    image = keras.Input((32, 32, 3), name="image")
    x = layers.ZeroPadding2D(1, name="padding")(image)
    x = layers.Conv2D(16, 3, strides=2, activation="relu", name="strided")(x)
    x = layers.Conv2D(24, 3, padding="same", dilation_rate=2, activation="swish", name="dilated")(x)
    y = layers.Conv2D(24, 3, padding="same", groups=4, name="grouped")(x)
    y = layers.ReLU(6.0, name="relu6")(y)
    y = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(y)
    y = layers.Activation("hard_silu", name="hard_swish")(y)
    y = layers.Conv2D(24, 1, name="linear")(y)
    x = layers.Add(name="add")([x, y])
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    gate = layers.Conv2D(8, 1, activation="relu", name="reduce")(gate)
    gate = layers.Conv2D(24, 1, activation="sigmoid", name="excite")(gate)
    x = layers.Multiply(name="scale")([x, gate])
    largest = layers.MaxPooling2D(2, name="max_pool")(x)
    average = layers.AveragePooling2D(3, strides=2, padding="same", name="average_pool")(x)
    x = layers.Concatenate(name="concatenate")([largest, average])
    x = layers.Conv2D(32, 3, padding="same", name="wide")(x)
    x = layers.LeakyReLU(0.1, name="leaky")(x)
    nearest = layers.UpSampling2D(2, name="nearest")(x)
    nearest = layers.Conv2D(16, 1, name="after_nearest")(nearest)
    bilinear = layers.UpSampling2D(2, interpolation="bilinear", name="bilinear")(x)
    bilinear = layers.Conv2D(16, 1, name="after_bilinear")(bilinear)
    transposed = layers.Conv2DTranspose(16, 3, strides=2, padding="same", name="transposed")(x)
    x = layers.Add(name="sum")([nearest, bilinear, transposed])
    x = layers.AveragePooling2D(2, name="average_linear")(x)
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="tanh", name="tanh")(x)
    flat = layers.Flatten(name="flatten")(x)
    flat = layers.Dense(32, activation="relu", name="hidden")(flat)
    average = layers.GlobalAveragePooling2D(name="average")(x)
    average = layers.Dense(32, name="after_average")(average)
    both = layers.Reshape((32, 1), name="reshape")(layers.Add(name="both")([flat, average]))
    logits = layers.Dense(10, name="logits")(layers.Flatten(name="flatten_both")(both))
    return keras.Model(image, layers.Softmax(name="probabilities")(logits), name="small")


def _drawn(generator, layer, weights):
    """He's normal distribution for kernels; small biases."""
    values = generator.normal(size=weights.shape)
    if weights.ndim == 1:
        return 0.1 * values
    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    fan_in = np.prod(weights.shape[:2] if depthwise else weights.shape[:-1])
    return values * np.sqrt(2 / fan_in)


def waves(count, size=32):
    """Noise with the 1/f spectrum of photographs, (count, size, size, 3)."""
    generator = np.random.default_rng(0)
    spectrum = np.fft.rfft2(generator.normal(size=(count, 3, size, size)))
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    found = np.fft.irfft2(spectrum / np.maximum(frequency, 1 / size), (size, size))
    found /= found.std(axis=(2, 3), keepdims=True)
    found += 0.5 * generator.normal(size=(count, 3, 1, 1))
    return found.transpose(0, 2, 3, 1).astype(np.float32)
