import keras
import pytest

from keras_bottleneck import graph
from keras_bottleneck.models import (
    CSPDarknet,
    MobileNetV2,
    ResNet,
    ResNet18,
    ResNet50,
    feature_info,
    feature_pyramid,
)

PASSES = {"as_built": lambda model: model, "flat": graph.flatten, "folded": graph.fold}
MADE_BY = pytest.mark.parametrize("make", PASSES.values(), ids=PASSES.keys())


def rows(model):
    return [(feature.channels, feature.stride) for feature in feature_info(model)]


# `fold` flattens first.
AS_BUILT_AND_LAST = pytest.mark.parametrize("make", [lambda model: model, graph.fold])


@pytest.mark.slow
@AS_BUILT_AND_LAST
def test_resnet50(make):
    model = make(ResNet50(include_top=False))
    assert rows(model) == [(64, 2), (256, 4), (512, 8), (1024, 16), (2048, 32)]


@AS_BUILT_AND_LAST
def test_mobilenet(make):
    model = make(MobileNetV2(include_top=False))
    assert rows(model) == [(16, 2), (24, 4), (32, 8), (96, 16), (320, 32)]


@AS_BUILT_AND_LAST
def test_csp_darknet(make):
    model = make(CSPDarknet(include_top=False))
    assert rows(model) == [(32, 2), (64, 4), (128, 8), (256, 16), (512, 32)]


def test_the_top_and_the_image_size_change_nothing():
    expected = [(64, 2), (64, 4), (128, 8), (256, 16), (512, 32)]
    assert rows(ResNet18(input_shape=(33, 50, 3))) == expected
    assert rows(ResNet18(include_top=False, input_shape=(None, None, 1))) == expected


@MADE_BY
@pytest.mark.parametrize("shortcut", ["pad", "pool", "none"])
def test_every_shortcut_and_a_linear_block(make, shortcut):
    model = ResNet("basic", (1, 2), filters=(8, 12), shortcut=shortcut, activation=None)
    assert rows(make(model)) == [(8, 2), (8, 4), (12, 8)]


def test_the_cifar_stem_shares_its_stride_with_the_first_stage():
    features = feature_info(ResNet("basic", (1, 1), filters=(8, 12), stem="cifar"))
    assert features == [("stage1_block1", 8, 1), ("stage2_block1", 12, 2)]


@MADE_BY
def test_the_pyramid_has_the_promised_maps(make, noise):
    shape = {"include_top": False, "input_shape": (64, 96, 3)}
    model = make(ResNet("basic", (1, 1, 1), filters=(4, 8, 12), **shape))
    pyramid = feature_pyramid(model)
    maps = pyramid(noise(2, 64, 96, 3))
    expected = [(2, 64 // stride, 96 // stride, channels) for channels, stride in rows(model)]
    assert [tuple(one.shape) for one in maps] == expected


def test_the_pyramid_shares_the_weights(noise, max_difference):
    model = ResNet("basic", (1, 1), filters=(8, 12), include_top=False, input_shape=(32, 32, 3))
    pyramid, x = feature_pyramid(model), noise(1, 32, 32, 3)
    assert isinstance(pyramid.input, keras.KerasTensor)  # a list makes Keras warn at every call
    assert max_difference(pyramid(x)[-1], model(x)) == 0.0
    assert pyramid.name == f"{model.name}_pyramid"


def test_looking_leaves_no_trace():
    model = ResNet("basic", (1, 1), filters=(8, 12))
    before = [len(layer._inbound_nodes) for layer in model.layers]
    feature_info(model)
    assert [len(layer._inbound_nodes) for layer in model.layers] == before


@pytest.mark.parametrize(
    "make",
    [
        lambda: None,
        lambda: keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 1)]),
        lambda: keras.Sequential([keras.layers.Dense(2)]),
    ],
    ids=["none", "no_stages", "unbuilt"],
)
def test_what_has_no_stages_is_an_error(make):
    with pytest.raises(ValueError, match=r"^`model` must be a .*\. Received: model="):
        feature_info(make())
