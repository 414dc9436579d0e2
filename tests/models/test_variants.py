"""The arguments that make the relatives of ResNet, held to what others have."""

import keras
import numpy as np
import pytest

from keras_bottleneck import keras_private, models
from keras_bottleneck.models import CIFARResNet, ResNet, feature_info

IMAGE = (64, 64, 3)


def leaves(model):
    return {layer.name: layer for layer in keras_private.sublayers(model)}


def small(block="bottleneck", **arguments):
    defaults = {"filters": (8, 16), "input_shape": IMAGE, "classes": 5}
    return ResNet(block, (2, 2), **{**defaults, **arguments})


# keras.applications' names of our layers.
V2_LAYERS = {
    "preact_bn": "preact_bn",
    "reduce_conv": "1_conv",
    "reduce_bn": "1_bn",
    "spatial_conv": "2_conv",
    "spatial_bn": "2_bn",
    "expand_conv": "3_conv",
    "shortcut_conv": "0_conv",
}


def their_name(name):
    """keras.applications' name of the layer that we call `name`."""
    ends = {"stem_conv": "conv1_conv", "head_bn": "post_bn"}
    if not name.startswith("stage"):
        return ends.get(name, name)
    stage, block, layer = name.removeprefix("stage").split("_", 2)
    return f"conv{int(stage) + 1}_{block}_{V2_LAYERS[layer]}"


@pytest.mark.slow
@pytest.mark.full
def test_v2_is_that_of_keras_applications(trained, noise, as_array):
    theirs = trained(keras.applications.ResNet50V2(weights=None, input_shape=IMAGE, classes=7))
    ours = models.ResNet50V2(
        input_shape=IMAGE, classes=7, conv_bias=True, stride_at="last", epsilon=1.001e-5
    )
    assert ours.count_params() == theirs.count_params()
    for name, layer in leaves(ours).items():
        if layer.weights and not keras_private.sublayers(layer):
            layer.set_weights(theirs.get_layer(their_name(name)).get_weights())
    x = noise(2, *IMAGE)
    np.testing.assert_allclose(as_array(ours(x)), as_array(theirs(x)), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("ResNet50V2", 25_613_800),
        pytest.param("ResNet101V2", 44_675_560, marks=pytest.mark.slow),
        pytest.param("ResNet152V2", 60_380_648, marks=pytest.mark.slow),
    ],
)
def test_v2_with_biases_has_the_size_of_keras_applications(name, total):
    model = getattr(models, name)(conv_bias=True, stride_at="last")
    assert model.count_params() == total


def test_the_stride_of_v2_is_where_it_is_asked_for():
    strided = {
        where: [
            name
            for name, layer in leaves(small(preactivation=True, stride_at=where)).items()
            if name.endswith("spatial_conv") and layer.strides == (2, 2)
        ]
        for where in ("first", "last")
    }
    assert strided == {
        "first": ["stage2_block1_spatial_conv"],
        "last": ["stage1_block2_spatial_conv"],
    }


@pytest.mark.parametrize("output_stride", [8, 16, 32, None])
def test_a_dilated_network_keeps_its_resolution(output_stride):
    arguments = {"filters": (4, 4, 4, 4), "include_top": False, "output_stride": output_stride}
    model = ResNet("bottleneck", (1, 2, 2, 2), **arguments)
    assert feature_info(model)[-1].stride == (output_stride or 32)


def test_the_dilations_are_those_of_torchvision():
    """`replace_stride_with_dilation=(False, True, True)`: a stage's first block lags behind."""
    model = ResNet("bottleneck", (1, 2, 2, 2), filters=(4, 4, 4, 4), output_stride=8)
    found = {
        name.removesuffix("_spatial_conv"): layer.dilation_rate[0]
        for name, layer in leaves(model).items()
        if name.endswith("_spatial_conv")
    }
    assert found == {
        **{"stage1_block1": 1, "stage2_block1": 1, "stage2_block2": 1},
        **{"stage3_block1": 1, "stage3_block2": 2},
        **{"stage4_block1": 2, "stage4_block2": 4},
    }


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_each_second_pixel_of_a_dilated_network_is_the_strided_one(block, trained, noise, as_array):
    """Yu et al. 2017: dilation leaves out the sampling and nothing else."""
    arguments = {"filters": (8, 8, 12, 16), "include_top": False}
    strided = trained(ResNet(block, (1, 2, 2, 2), **arguments))
    dilated = ResNet(block, (1, 2, 2, 2), output_stride=8, **arguments)
    dilated.set_weights(strided.get_weights())
    x = noise(1, 96, 96, 3)
    wanted, found = as_array(strided(x)), as_array(dilated(x))
    assert (wanted.shape[1], found.shape[1]) == (3, 12)
    np.testing.assert_allclose(found[:, ::4, ::4], wanted, atol=1e-4)


def test_the_deep_stem_is_that_of_timm():
    model = models.ResNet50D(input_shape=IMAGE, classes=3)
    found = [leaves(model)[f"{name}_conv"] for name in ("stem", "stem2", "stem3")]
    assert [conv.filters for conv in found] == [32, 32, 64]
    assert [conv.strides[0] for conv in found] == [2, 1, 1]
    assert model.get_layer("stage1_block1").output.shape == (None, 16, 16, 256)


def test_strides_taken_by_blurs():
    names = leaves(small(antialias=True))
    assert {name for name in names if name.endswith("blur")} >= {
        "stem_pool_blur",
        "stage2_block1_spatial_blur",
    }
    assert names["stage2_block1_spatial_conv"].strides == (1, 1)
    assert small(antialias=True).get_layer("stage2_block2").output.shape == (None, 8, 8, 64)


@pytest.mark.parametrize("depth", [8, 14, 32])
def test_networks_of_any_depth(depth):
    model = CIFARResNet(depth)
    weighted = [one for one in keras_private.sublayers(model) if hasattr(one, "kernel")]
    assert len(weighted) == depth
    assert model.name == f"resnet{depth}"


@pytest.mark.slow
def test_the_named_depths_are_those_of_the_general_builder():
    for depth in (20, 32):
        named, general = getattr(models, f"ResNet{depth}")(), CIFARResNet(depth)
        assert [one.path for one in named.weights] == [one.path for one in general.weights]


def test_a_caller_goes_before_the_row():
    model = models.ResNet20(shortcut="projection", classes=3, input_shape=(16, 16, 1))
    assert model.output_shape == (None, 3)
    assert "stage2_block1_shortcut_conv" in leaves(model)


@pytest.mark.slow
@pytest.mark.full
def test_the_deepest_network(noise, as_array):
    """1,202 layers: more than Keras's recursion takes without help."""
    from keras_bottleneck.graph import flatten

    model = models.ResNet1202(zero_init_residual=True)
    assert sum(int(np.prod(one.shape)) for one in model.trainable_weights) == 19_421_274
    flat, x = flatten(model), noise(2, 32, 32, 3)
    assert len([layer for layer in flat.layers if hasattr(layer, "kernel")]) == 1202
    np.testing.assert_array_equal(as_array(flat(x)), as_array(model(x)))
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False, run_eagerly=True)
    before = as_array(model.get_layer("stem").conv.kernel)
    loss = model.train_on_batch(x, np.array([1, 2]))
    assert np.isfinite(loss)
    assert (as_array(model.get_layer("stem").conv.kernel) != before).any()
