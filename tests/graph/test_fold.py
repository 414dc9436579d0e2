"""`fold` leaves stock layers alone, which compute what the model computes at inference."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_bottleneck import layers, models
from keras_bottleneck.graph import fold

BN = keras.layers.BatchNormalization
IMAGE = (9, 9, 6)
SMALL = {"filters": (8, 12), "stem": "cifar", "input_shape": (9, 9, 3), "classes": 4}


def chain(*parts, shape=IMAGE):
    return keras.Sequential([keras.Input(shape), *parts])


def norms_in(model):
    return [layer for layer in model.layers if isinstance(layer, BN)]


FOLDED_AWAY = {
    "conv": lambda: chain(keras.layers.Conv2D(4, 3, use_bias=False), BN()),
    "conv_with_bias": lambda: chain(keras.layers.Conv2D(4, 3, 2), BN()),
    "grouped": lambda: chain(keras.layers.Conv2D(4, 3, groups=2), BN()),
    "dilated": lambda: chain(keras.layers.Conv2D(4, 3, dilation_rate=2), BN()),
    "depthwise": lambda: chain(keras.layers.DepthwiseConv2D(3), BN()),
    "depthwise_multiplier": lambda: chain(
        keras.layers.DepthwiseConv2D(3, depth_multiplier=2), BN()
    ),
    "depthwise_1d": lambda: chain(
        keras.layers.DepthwiseConv1D(3, depth_multiplier=2), BN(), shape=(9, 5)
    ),
    "separable": lambda: chain(keras.layers.SeparableConv2D(4, 3, depth_multiplier=2), BN()),
    "separable_1d": lambda: chain(keras.layers.SeparableConv1D(4, 3), BN(), shape=(9, 5)),
    "transposed": lambda: chain(keras.layers.Conv2DTranspose(4, 3, 2, use_bias=False), BN()),
    "transposed_1d": lambda: chain(keras.layers.Conv1DTranspose(4, 3, 2), BN(), shape=(9, 5)),
    "transposed_3d": lambda: chain(keras.layers.Conv3DTranspose(4, 2), BN(), shape=(4, 4, 4, 3)),
    "conv_1d": lambda: chain(keras.layers.Conv1D(4, 3), BN(), shape=(9, 5)),
    "conv_3d": lambda: chain(keras.layers.Conv3D(4, 2), BN(), shape=(4, 4, 4, 3)),
    "dense": lambda: chain(keras.layers.Dense(4), BN(), shape=(7,)),
    "dense_on_images": lambda: chain(keras.layers.Dense(4, activation="linear"), BN(axis=3)),
    "no_scale": lambda: chain(keras.layers.Conv2D(4, 3), BN(scale=False)),
    "no_center": lambda: chain(keras.layers.Conv2D(4, 3), BN(center=False)),
    "own_conv": lambda: chain(layers.ConvNormAct(4, 3, 2, use_bias=True)),
}
OWN = {
    "se_and_drop_path": lambda: models.ResNet(
        "basic", (1, 2), se_ratio=0.25, drop_path=0.3, **SMALL
    ),
    "pad": lambda: models.ResNet("basic", (1, 1), shortcut="pad", **SMALL),
    "pool": lambda: models.ResNet("bottleneck", (1, 1), shortcut="pool", **SMALL),
    "separable": lambda: models.ResNet("basic", (1, 1), conv="separable", **SMALL),
    "factorized": lambda: models.ResNet("bottleneck", (1, 1), conv="factorized", **SMALL),
    "asymmetric": lambda: models.ResNet("basic", (1, 1), conv="asymmetric", **SMALL),
    "csp_darknet": lambda: models.CSPDarknet(width=0.1, input_shape=(33, 32, 3), classes=4),
    "pyramid": lambda: models.FPN(models.ResNet("basic", (1, 1), **SMALL), 4),
    "inverted": lambda: chain(
        layers.InvertedResidual(6), layers.InvertedResidual(8, 2, se_ratio=0.25)
    ),
}
CASES = {**FOLDED_AWAY, **OWN}


@pytest.mark.parametrize("make", CASES.values(), ids=CASES.keys())
def test_no_batch_norm_is_left_and_outputs_are_equal(make, noise, trained, max_difference):
    model = trained(make())
    x = noise(2, *model.input_shape[1:])
    folded = fold(model)
    assert norms_in(folded) == []
    assert max_difference(folded(x), model(x)) <= 1e-4


@pytest.mark.parametrize("make", OWN.values(), ids=OWN.keys())
def test_only_stock_layers_remain(make):
    for layer in fold(make()).layers:
        assert type(layer).__module__.startswith("keras."), layer


def with_relu():
    return chain(keras.layers.Conv2D(4, 3, activation="relu"), BN())


def called_twice():
    x = image = keras.Input((9, 9, 6))
    conv, norm = keras.layers.Conv2D(6, 3, padding="same"), BN()
    return keras.Model(image, conv(norm(conv(x))))


def read_twice():
    image = keras.Input(IMAGE)
    x = keras.layers.Conv2D(4, 3)(image)
    return keras.Model(image, keras.layers.Add()([BN()(x), x]))


def also_an_output():
    image = keras.Input(IMAGE)
    x = keras.layers.Conv2D(4, 3)(image)
    return keras.Model(image, [BN()(x), x])


def norm_first():
    return chain(BN(), keras.layers.ReLU(), keras.layers.Conv2D(4, 3))


def two_norms():
    return chain(keras.layers.Conv2D(4, 3), BN(), BN())


def one_norm_after_two_convs():
    image, norm = keras.Input(IMAGE), BN()
    branches = [norm(keras.layers.Conv2D(4, 3)(image)) for _ in range(2)]
    return keras.Model(image, keras.layers.Subtract()(branches))


def one_norm_after_a_conv_and_a_relu():
    image, norm = keras.Input((9, 9, 4)), BN()
    branches = [norm(keras.layers.Conv2D(4, 1)(image)), norm(keras.layers.ReLU()(image))]
    return keras.Model(image, keras.layers.Subtract()(branches))


NOT_INTO_THE_LAYER_BEFORE = {
    "with_relu": (with_relu, 1),
    "called_twice": (called_twice, 1),
    "read_twice": (read_twice, 1),
    "also_an_output": (also_an_output, 1),
    "norm_first": (norm_first, 1),
    "two_norms": (two_norms, 1),
    "one_norm_after_two_convs": (one_norm_after_two_convs, 0),
    "one_norm_after_a_conv_and_a_relu": (one_norm_after_a_conv_and_a_relu, 1),
}


@pytest.mark.parametrize(
    ("make", "depthwise"), NOT_INTO_THE_LAYER_BEFORE.values(), ids=NOT_INTO_THE_LAYER_BEFORE.keys()
)
def test_a_norm_without_a_conv_of_its_own_becomes_depthwise(
    make, depthwise, noise, trained, max_difference
):
    model = trained(make())
    x = noise(2, *model.input_shape[1:])
    folded = fold(model)
    kinds = [type(layer) for layer in folded.layers]
    assert norms_in(folded) == []
    assert kinds.count(keras.layers.DepthwiseConv2D) == depthwise
    assert max_difference(folded(x), model(x)) <= 1e-4


@pytest.mark.parametrize(
    ("shape", "parts"),
    [
        ((7,), lambda: [layers.BatchNormalization()]),
        ((7,), lambda: [keras.layers.Dense(4, activation="relu"), layers.BatchNormalization()]),
        ((5, 7), lambda: [layers.BatchNormalization()]),
        ((5, 6, 7), lambda: [keras.layers.Conv2D(4, 3), layers.BatchNormalization(axis=1)]),
    ],
    ids=["2d", "after_relu", "3d", "other_axis"],
)
def test_a_norm_that_is_no_convolution_stays_as_kerass(
    shape, parts, noise, trained, max_difference
):
    model, x = trained(chain(*parts(), shape=shape)), noise(2, *shape)
    folded = fold(model)
    assert [type(norm) for norm in norms_in(folded)] == [BN]
    assert max_difference(folded(x), model(x)) == 0.0


def test_inference_wins_over_a_call_that_said_training(noise, trained, max_difference):
    image = keras.Input(IMAGE)
    model = keras.Model(image, BN()(keras.layers.Conv2D(4, 3)(image), training=True))
    trained(model)
    x = noise(4, *IMAGE)
    assert max_difference(fold(model)(x), model(x, training=False)) <= 1e-4


def test_inference_does_not_depend_on_a_mask(noise, trained, max_difference):
    image, mask = keras.Input(IMAGE), keras.Input((7, 7), dtype="bool")
    after_conv = BN()(keras.layers.Conv2D(4, 3)(image), mask=mask)
    after_relu = BN()(keras.layers.ReLU()(after_conv), mask=mask)
    model = trained(keras.Model([image, mask], after_relu))
    x = [noise(2, *IMAGE), noise(2, 7, 7) > 0]
    folded = fold(model)
    assert norms_in(folded) == []
    assert max_difference(folded(x), model(x)) <= 1e-4


def test_a_norm_of_the_users_own_is_left_alone(noise, trained, max_difference):
    class Doubled(BN):
        def call(self, inputs, training=None, mask=None):
            return 2 * super().call(inputs, training=training, mask=mask)

    model, x = trained(chain(keras.layers.Conv2D(4, 3), Doubled())), noise(2, *IMAGE)
    assert max_difference(fold(model)(x), model(x)) <= 1e-4


def test_low_rank_weights_are_not_forgotten(noise, trained, max_difference):
    model = trained(chain(keras.layers.Dense(4), BN(), shape=(7,)))
    model.layers[0].enable_lora(2)
    model.layers[0].lora_kernel_b.assign(noise(2, 4))
    x = noise(2, 7)
    assert max_difference(fold(model)(x), model(x)) <= 1e-4


def test_the_original_is_untouched(noise, trained, max_difference):
    model, x = trained(models.ResNet("basic", (1, 1), **SMALL)), noise(2, 9, 9, 3)
    expected, before = model(x), model.get_weights()
    folded = fold(model)
    folded.set_weights([weight + 1 for weight in folded.get_weights()])
    assert max_difference(model(x), expected) == 0.0
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_half_precision_keeps_its_policy(noise, trained, as_array):
    model = trained(chain(layers.ConvNormAct(4, dtype="mixed_bfloat16")))
    folded, x = fold(model), noise(2, *IMAGE)
    assert folded.layers[1].dtype_policy.name == "mixed_bfloat16"
    # bfloat16 has eight bits; both models round several times.
    np.testing.assert_allclose(as_array(folded(x)), as_array(model(x)), atol=0.1)


APPLICATIONS = {
    "ResNet50": 32,
    "ResNet50V2": 32,
    "MobileNetV2": 32,
    "MobileNetV3Small": 32,
    "DenseNet121": 32,
    "EfficientNetB0": 32,
}


def check_application(name, noise, trained, max_difference):
    size = APPLICATIONS[name]
    build = getattr(keras.applications, name)
    model = trained(build(weights=None, include_top=False, input_shape=(size, size, 3)))
    folded, x = fold(model), noise(2, size, size, 3)
    assert norms_in(folded) == []
    expected = keras.ops.convert_to_numpy(model(x))
    scale = max(1.0, np.abs(expected).max())
    assert max_difference(folded(x), expected) <= 1e-4 * scale


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV2"])
def test_keras_applications_fold(name, noise, trained, max_difference):
    check_application(name, noise, trained, max_difference)


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.parametrize("name", sorted(APPLICATIONS.keys() - {"MobileNetV2"}))
def test_large_keras_applications_fold(name, noise, trained, max_difference):
    check_application(name, noise, trained, max_difference)


LOAD = """
import sys
sys.modules["keras_bottleneck"] = None  # importing it is an error
import keras, numpy
model = keras.saving.load_model(sys.argv[1])
numpy.save(sys.argv[2], model(numpy.load(sys.argv[3])))
"""


@pytest.mark.slow
def test_the_saved_file_opens_without_this_package(noise, trained, max_difference, tmp_path):
    model = trained(models.ResNet("basic", (1, 1), shortcut="pad", se_ratio=0.5, **SMALL))
    folded, x = fold(model), noise(2, 9, 9, 3)
    file, y, images = (str(tmp_path / name) for name in ("net.keras", "y.npy", "x.npy"))
    folded.save(file)
    np.save(images, x)
    subprocess.run([sys.executable, "-c", LOAD, file, y, images], check=True, cwd=tmp_path)
    assert max_difference(np.load(y), folded(x)) <= 1e-6
