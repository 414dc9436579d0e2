"""What cannot be quantized is refused in one line, before any work is done."""

import re

import keras
import numpy as np
import pytest
from keras import layers

from keras_bottleneck.quantization import is_quantized, quantize, sensitivity

IMAGES = np.random.default_rng(0).normal(size=(100, 6, 6, 3)).astype("float32")


def network():
    image = keras.Input((6, 6, 3), name="image")
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(image)
    return keras.Model(image, layers.Dense(3, name="top")(layers.Flatten()(x)), name="net")


@pytest.fixture(scope="module")
def model():
    return network()


def refused(call, *args, **kwargs):
    """The one line that is said about a wrong call."""
    with pytest.raises(ValueError) as error:
        call(*args, **kwargs)
    message = str(error.value)
    assert "\n" not in message
    assert re.match(r"`\w+`", message), message
    assert "Received: " in message, message
    return message


WRONG_DATA = {
    "string": ("images/", "must be a dataset of batches"),
    "bytes": (b"images", "must be a dataset of batches"),
    "dict": ({"image": IMAGES}, "must be a dataset of batches"),
    "none": (None, "must be a dataset of batches"),
    "number": (3, "must be a dataset of batches"),
    "empty_list": ([], "must hold at least one sample. Received: an empty dataset"),
    "empty_array": (IMAGES[:0], "must hold at least one sample. Received: an empty dataset"),
    "empty_generator": (iter(()), "must hold at least one sample. Received: an empty dataset"),
    "nan": (np.where(IMAGES > 3, np.nan, IMAGES), "must hold finite values"),
    "infinity": (np.where(IMAGES > 3, np.inf, IMAGES), "must hold finite values"),
    "size": (IMAGES[:, :5], "must hold batches of images (6, 6, 3). Received: an array of shape"),
    "channels": (IMAGES[..., :1], "must hold batches of images (6, 6, 3)"),
    "single": (IMAGES[0], "must hold batches of images (6, 6, 3). Received: an array of shape"),
    "vectors": (np.zeros((100, 108)), "must hold batches of images (6, 6, 3)"),
    "no_batches": (list(IMAGES), "must hold batches of images (6, 6, 3). Received: an array of"),
    "dicts": ([{"image": IMAGES}], "must hold batches of images (6, 6, 3). Received: "),
    "strings": ([["a", "b"]], "must hold batches of images (6, 6, 3). Received: "),
    "text": (np.full((2, 6, 6, 3), "a"), "must hold "),
    "objects": (np.full((2, 6, 6, 3), None), "must hold "),
    "ragged": ([([[1.0], [1.0, 2.0]], None)], "must hold "),
    "few_labels": ((IMAGES, np.zeros(99)), "must hold one label for each image. Received: 99"),
}


@pytest.mark.parametrize("case", WRONG_DATA)
@pytest.mark.parametrize("call", [quantize, sensitivity], ids=["quantize", "sensitivity"])
def test_wrong_images(model, call, case):
    name = "calibration" if call is quantize else "data"
    data, expected = WRONG_DATA[case]
    if case == "few_labels":
        # Labels are read for the accuracy alone; without that they may be anything.
        if call is sensitivity:
            pytest.skip("sensitivity does not look at labels")
        message = refused(call, model, data, keep_accuracy=0.1)
    else:
        message = refused(call, model, iter(()) if case == "empty_generator" else data)
    assert message.startswith(f"`{name}` {expected}")
    assert len(message) < 500


def test_images_of_several_sizes():
    image = keras.Input((None, None, 3))
    model = keras.Model(image, layers.Conv2D(4, 3)(image))
    message = refused(quantize, model, [IMAGES, IMAGES[:, :5]])
    assert message == (
        "`calibration` must hold images of one size. Received: sizes [(5, 6), (6, 6)]"
    )


def test_the_second_batch_is_looked_at_too(model):
    refused(quantize, model, [IMAGES, IMAGES[:, :5]])
    wrong = np.full_like(IMAGES, np.nan)
    assert "NaN" in refused(quantize, model, [IMAGES, wrong])
    # ... but not beyond the images that are asked for.
    quantize(model, [IMAGES, wrong], images=100)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="own")
        self.conv = layers.Conv2D(4, 3)

    def call(self, x):
        return self.conv(x)


def two_inputs():
    inputs = [keras.Input((6, 6, 3), name=name) for name in "ab"]
    return keras.Model(inputs, layers.Add()(inputs), name="two")


def vectors():
    row = keras.Input((7,))
    return keras.Model(row, layers.Dense(3)(row), name="rows")


def any_channels():
    image = keras.Input((6, 6, None))
    return keras.Model(image, layers.GlobalAveragePooling2D()(image), name="any")


FUNCTIONAL = "must be a functional or Sequential Keras model with a known input shape. Received: "
ONE_INPUT = "must have one input (batch, height, width, channels). Received: model="
WRONG_MODELS = {
    "subclassed": (Subclassed, FUNCTIONAL + "model=Subclassed 'own'"),
    "unbuilt": (
        lambda: keras.Sequential([layers.Conv2D(3, 1)], name="seq"),
        FUNCTIONAL + "model=Sequential 'seq'",
    ),
    "layer": (lambda: layers.Dense(3), FUNCTIONAL),
    "path": (lambda: "model.keras", FUNCTIONAL + "model='model.keras'"),
    "none": (lambda: None, FUNCTIONAL + "model=None"),
    "two_inputs": (two_inputs, ONE_INPUT + "'two'"),
    "vectors": (vectors, ONE_INPUT + "'rows'"),
    "any_channels": (any_channels, ONE_INPUT + "'any'"),
}


@pytest.mark.parametrize("case", WRONG_MODELS)
@pytest.mark.parametrize("call", [quantize, sensitivity], ids=["quantize", "sensitivity"])
def test_wrong_models(call, case):
    make, expected = WRONG_MODELS[case]
    message = refused(call, make(), IMAGES)
    assert message.startswith(f"`model` {expected}")


@pytest.mark.parametrize("call", [quantize, sensitivity], ids=["quantize", "sensitivity"])
def test_a_model_that_is_quantized_already(model, call):
    quantized = quantize(model, IMAGES)
    expected = "`model` must be a float model. Received: model='net', which is quantized"
    assert refused(call, quantized, IMAGES) == expected
    inside = keras.Sequential([keras.Input((6, 6, 3)), quantized])
    assert is_quantized(inside)
    assert "which is quantized" in refused(call, inside, IMAGES)


def test_weights_that_are_not_finite():
    model = network()
    kernel, bias = model.get_layer("conv").get_weights()
    kernel[0, 0, 0, 0] = np.nan
    model.get_layer("conv").set_weights([kernel, bias])
    assert refused(quantize, model, IMAGES).startswith("`model` must ")


WRONG_ARGUMENTS = [
    ({"calibrator": "min_max"}, "(did you mean 'minmax'?). Received: calibrator='min_max'"),
    ({"calibrator": "entropie"}, "(did you mean 'entropy'?). Received: calibrator='entropie'"),
    ({"calibrator": "MSE"}, "Received: calibrator='MSE'"),
    ({"calibrator": None}, "Received: calibrator=None"),
    ({"calibrator": ["mse"]}, "Received: calibrator=['mse']"),
    ({"rounding": "adaptiv"}, "(did you mean 'adaptive'?). Received: rounding='adaptiv'"),
    ({"rounding": True}, "Received: rounding=True"),
    ({"equalize": 1}, "must be True or False. Received: equalize=1"),
    ({"equalize": "yes"}, "must be True or False. Received: equalize='yes'"),
    ({"equalize": None}, "must be True or False. Received: equalize=None"),
    ({"bias_correction": 0}, "must be True or False. Received: bias_correction=0"),
    ({"images": 0}, "must be an integer of at least 1. Received: images=0"),
    ({"images": 1.5}, "must be an integer of at least 1. Received: images=1.5"),
    ({"images": True}, "must be an integer of at least 1. Received: images=True"),
    ({"images": "all"}, "must be an integer of at least 1. Received: images='all'"),
    ({"images": None}, "must be an integer of at least 1. Received: images=None"),
    ({"keep_accuracy": -0.1}, "at least 0 and at most 1. Received: keep_accuracy=-0.1"),
    ({"keep_accuracy": 1.1}, "at least 0 and at most 1. Received: keep_accuracy=1.1"),
    ({"keep_accuracy": True}, "at least 0 and at most 1. Received: keep_accuracy=True"),
    ({"keep_accuracy": "1%"}, "at least 0 and at most 1. Received: keep_accuracy='1%'"),
    ({"keep_accuracy": float("nan")}, "Received: keep_accuracy=nan"),
    ({"skip": "conv"}, "or 'unsupported'. Received: skip='conv'"),
    ({"skip": None}, "or 'unsupported'. Received: skip=None"),
    ({"skip": ["convv"]}, "(did you mean 'conv'?). Received: skip='convv'"),
    ({"skip": [1]}, "Received: skip=[1]"),
]


@pytest.mark.parametrize(("arguments", "expected"), WRONG_ARGUMENTS, ids=repr)
def test_wrong_arguments(model, arguments, expected):
    # They are refused before the data is read.
    def unread():
        raise AssertionError("the data was read")
        yield

    message = refused(quantize, model, unread(), **arguments)
    assert message.startswith(f"`{next(iter(arguments))}` must be ")
    assert message.endswith(expected)


@pytest.mark.parametrize("images", [0, -1, 2.0, None, "16"])
def test_wrong_counts_of_images_for_sensitivity(model, images):
    message = refused(sensitivity, model, IMAGES, images=images)
    assert message == f"`images` must be an integer of at least 1. Received: images={images!r}"


def test_options_are_given_by_name(model):
    with pytest.raises(TypeError):
        quantize(model, IMAGES, "mse")


def test_accuracy_needs_a_classifier():
    image = keras.Input((6, 6, 3))
    model = keras.Model(image, layers.Conv2D(4, 3)(image), name="maps")
    message = refused(quantize, model, IMAGES, keep_accuracy=0.01)
    assert message.startswith("`model` must be a functional or Sequential model with one output")
    image = keras.Input((6, 6, 3))
    numbers = layers.Dense(1)(layers.GlobalAveragePooling2D()(image))
    model = keras.Model(image, numbers)
    model.compile(loss="mse")
    message = refused(quantize, model, IMAGES, keep_accuracy=0.01)
    assert message.startswith("`keep_accuracy` must be None for a regression")


@pytest.mark.parametrize("labels", [np.full(100, 3), np.full(100, -1)], ids=["above", "below"])
def test_accuracy_needs_labels_of_the_model(model, labels):
    # It has three classes; left alone, an accuracy of zero would be kept with ease.
    assert "3" in refused(quantize, model, (IMAGES, labels), keep_accuracy=0.01)


def test_layers_without_int8_are_named_before_the_data_is_read():
    image = keras.Input((6, 6, 3))
    model = keras.Model(image, layers.LayerNormalization(name="odd")(image))

    def unread():
        raise AssertionError("the data was read")
        yield

    message = refused(quantize, model, unread())
    assert message.endswith("Received: 'odd' (LayerNormalization)")


def test_an_ordinary_model_is_not_quantized(model):
    assert is_quantized(model) is False
    assert is_quantized(quantize(model, IMAGES)) is True
