"""`check` names what a device does not take, layer by layer."""

import keras
import pytest
from keras import layers

import keras_bottleneck as kb
from keras_bottleneck.analysis import TARGETS, check
from keras_bottleneck.analysis.targets import EVERY, OPERATORS
from keras_bottleneck.quantization.placement import OPERATION_RULES, RULES

SOUND = ("tflite-micro", "ethos-u", "edgetpu", "xnnpack", "webgpu")


def chain(*hidden, shape=(16, 16, 16)):
    return keras.Sequential([keras.Input(shape), *hidden], name="chain")


def small(**changes):
    shape = {"input_shape": (32, 32, 3), "classes": 3, "name": "small", **changes}
    return kb.ResNet("basic", (1, 1), filters=(16, 32), stem="cifar", **shape)


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.parametrize("target", SOUND)
@pytest.mark.parametrize(
    "build",
    [small, lambda: kb.MobileNetV2(alpha=0.35, input_shape=(32, 32, 3), classes=3)],
    ids=["resnet", "mobilenet"],
)
def test_sound_networks_have_no_problem(build, target):
    assert check(build(), target).problems == ()


# Targets that take a layer, then those that do not, with the reason.
LIMITS = {
    "hard swish": (layers.Activation("hard_swish"), {"edgetpu": "no HARD_SWISH"}),
    "leaky": (
        layers.LeakyReLU(),
        {"edgetpu": "no LEAKY_RELU", "coreml": "no LEAKY_RELU"},
    ),
    "nearest": (
        layers.UpSampling2D(2),
        {"xnnpack": "no RESIZE_NEAREST", "coreml": "no RESIZE_NEAREST"},
    ),
    "three times": (
        layers.UpSampling2D(3, interpolation="bilinear"),
        {"ethos-u": "resizes by another factor than 2"},
    ),
    "dilated": (
        layers.DepthwiseConv2D(3, dilation_rate=2),
        {"edgetpu": "depthwise convolution with dilation"},
    ),
    "uneven": (
        layers.Conv2D(16, 3, dilation_rate=(1, 2)),
        {"edgetpu": "another dilation in height"},
    ),
    "stride 4": (
        layers.DepthwiseConv2D(5, strides=4),
        {"ethos-u": "depthwise convolution with a stride above 3"},
    ),
    "stride 4 same": (
        layers.Conv2D(16, 5, strides=4, padding="same"),
        {"ethos-u": "a stride above 3 with padding"},
    ),
    "stride 4 valid": (layers.Conv2D(16, 5, strides=4), {}),
    "transposed": (
        layers.Conv2DTranspose(16, 3, strides=3),
        {"ethos-u": "transposed convolution with a stride above 2"},
    ),
    "large pool": (
        layers.AveragePooling2D(9, padding="same"),
        {"ethos-u": "more than 8 pixels"},
    ),
    "single pixels": (layers.MaxPooling2D(1, 2), {"xnnpack": "1x1 pooling with a stride"}),
    "swish": (layers.Activation("swish"), {}),
    "norm": (layers.BatchNormalization(), {}),
    "dropout": (layers.Dropout(0.5), {}),
    "mish": (layers.Activation("mish", name="mish"), dict.fromkeys(TARGETS, "no built-in")),
    "gelu": (
        layers.Activation("gelu", name="gelu"),
        dict.fromkeys(set(TARGETS) - {"ethos-u", "webgpu"}, "there is no GELU"),
    ),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("case", LIMITS)
def test_limits(case, target):
    layer, refused = LIMITS[case]
    problems = check(chain(layer), target).problems
    if target not in refused:
        assert problems == ()
    else:
        (problem,) = problems
        assert refused[target] in problem.message
        assert TARGETS[target].otherwise in problem.message
        assert problem.layer == layer.name


@pytest.mark.slow
@pytest.mark.parametrize("target", ["edgetpu", "coreml"])
def test_zero_channels_of_option_a(target):
    found = check(small(shortcut="pad"), target).problems
    assert any("pads channels" in problem.message for problem in found)
    assert not any("pads channels" in one.message for one in check(small(), target).problems)


def test_channels_that_do_not_fill_what_is_computed_at_a_time():
    model = chain(layers.Conv2D(24, 1, name="wide"), layers.Conv2D(32, 1, name="even"))
    (found,) = check(model, "ethos-u").advice
    assert found.layer == "wide"
    assert "24 channels cost as many as 32" in found.message
    assert check(model, "tflite-micro").advice == ()
    assert check(chain(layers.Conv2D(6, 1)), "tflite-micro").advice != ()
    assert check(chain(layers.Conv2D(7, 1)), "edgetpu").advice == ()


@pytest.mark.slow
@pytest.mark.full
def test_memory():
    model = kb.MobileNetV2(input_shape=(None, None, 3))
    report = check(model, "ethos-u", input_shape=(224, 224, 3), memory=1_505_280)
    assert report.peak_bytes == 1_505_280
    assert report.problems == ()
    report = check(model, "ethos-u", input_shape=(224, 224, 3), memory=1_505_279)
    assert [problem.layer for problem in report.problems] == ["stage2_block1_depthwise_conv"]
    assert "1,505,280 bytes are live, of 1,505,279" in str(report)


@pytest.mark.slow
def test_floats_take_four_times_as_much():
    assert check(small(), "webgpu").peak_bytes == 4 * check(small(), "tflite-micro").peak_bytes


def test_swish_needs_its_sigmoid_beside_it():
    pixels = 16 * 16 * 16
    assert check(chain(layers.Conv2D(16, 1)), "ethos-u").peak_bytes == 2 * pixels
    swish = layers.Conv2D(16, 1, activation="swish")
    assert check(chain(swish), "ethos-u").peak_bytes == 3 * pixels


def test_every_layer_that_quantize_takes_has_an_operator():
    several = {layers.Activation, layers.UpSampling2D}
    assert set(RULES) - several <= set(OPERATORS)
    assert set(OPERATION_RULES) <= set(kb.analysis.targets.BARE)


@pytest.mark.parametrize("target", TARGETS)
def test_rows_name_their_source_and_operators_that_exist(target):
    row = TARGETS[target]
    assert row.operators <= EVERY
    assert row.source
    assert row.title in str(check(small(), target))


@pytest.mark.slow
def test_mixed_precision(dtype_policy):
    dtype_policy("mixed_float16")
    assert check(small(), "ethos-u").problems == ()


@pytest.mark.slow
def test_wrong_arguments(noise):
    with pytest.raises(ValueError, match=r"^`target` must be one of .*did you mean 'ethos-u'"):
        check(small(), "ethosu")
    with pytest.raises(ValueError, match=r"^`memory` must be an integer of at least 1"):
        check(small(), "ethos-u", memory=0)
    with pytest.raises(ValueError, match=r"^`input_shape` must be given"):
        check(small(input_shape=(None, None, 3)), "ethos-u")
    quantized = kb.quantize(small(), noise(100, 32, 32, 3))
    with pytest.raises(ValueError, match=r"^`model` must be a float model"):
        check(quantized, "ethos-u")
