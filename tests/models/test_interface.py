"""The constructors' arguments: those of keras.applications, in their order, with their meaning."""

import inspect
import typing

import keras
import numpy as np
import pytest

from keras_bottleneck import keras_private, models
from keras_bottleneck.layers import DropPath
from keras_bottleneck.models import (
    CSPDarknet,
    MobileNetV2,
    ResNet,
    ResNet18,
    ResNet50,
    mobilenet_v2,
    variants,
)

RESNETS = ("ResNet18", "ResNet34", "ResNet50", "ResNet101", "ResNet152")
LIKE_RESNETS = (*RESNETS, "CSPDarknet")


def small(**arguments):
    """A network of both kinds of stages that is built in a moment."""
    arguments = {"stem": "imagenet", "filters": (8, 12), "classes": 5, **arguments}
    return ResNet("basic", (1, 2), **arguments)


def tiny_mobilenet(**arguments):
    """Three blocks are built in a moment; the whole table has tests of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mobilenet_v2, "STAGES", mobilenet_v2.STAGES[:2])
        return MobileNetV2(**{"alpha": 0.1, "classes": 5, **arguments})


def tiny_csp_darknet(**arguments):
    return CSPDarknet(**{"width": 0.1, "classes": 5, **arguments})


BUILDERS = pytest.mark.parametrize("build", [small, tiny_mobilenet, tiny_csp_darknet])
DEEP = {"drop_path": 0.2}


def names(function):
    parameters = inspect.signature(function).parameters.values()
    return [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]


@pytest.mark.parametrize("name", LIKE_RESNETS)
def test_builders_take_the_arguments_of_keras_applications(name):
    assert names(getattr(models, name)) == names(keras.applications.ResNet50)


def test_mobilenet_takes_the_arguments_of_keras_applications():
    assert names(MobileNetV2) == names(keras.applications.MobileNetV2)


def test_the_general_resnet_takes_them_after_its_blocks():
    assert names(ResNet) == ["block", "depths", *names(keras.applications.ResNet50)]


def keyword_only(function):
    parameters = inspect.signature(function).parameters.values()
    return {one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY}


@pytest.mark.parametrize("name", [*models.VARIANTS, "CIFARResNet"])
def test_builders_show_every_argument_of_the_general_resnet(name):
    build, shared = getattr(models, name), keyword_only(ResNet)
    settings = models.VARIANTS[name].settings if name in models.VARIANTS else variants.CIFAR
    assert len(shared) > 20
    assert keyword_only(build) == {**shared, **settings}
    for argument in inspect.signature(build).parameters:
        assert f"        {argument}: " in build.__doc__
    hints = typing.get_type_hints(build)
    assert set(hints) == {*inspect.signature(build).parameters, "return"}


@pytest.mark.parametrize("name", [*LIKE_RESNETS, "MobileNetV2"])
def test_defaults_are_those_of_keras_applications_but_the_weights(name):
    theirs = getattr(keras.applications, name if name == "MobileNetV2" else "ResNet50")
    ours = inspect.signature(getattr(models, name)).parameters
    for parameter in inspect.signature(theirs).parameters.values():
        if parameter.name not in ("weights", "name"):
            assert ours[parameter.name].default == parameter.default
    assert ours["weights"].default is None


@pytest.mark.parametrize(
    ("build", "channels"), [*((small, n) for n in (1, 3, 4, 7)), (tiny_mobilenet, 1)]
)
def test_any_number_of_channels(build, channels, noise):
    model = build(input_shape=(32, 32, channels))
    assert model.input_shape == (None, 32, 32, channels)
    assert model(noise(2, 32, 32, channels)).shape == (2, 5)


@BUILDERS
@pytest.mark.parametrize("size", [(1, 1), (33, 17), (31, 64)])
def test_any_size(build, size, noise, as_array):
    y = as_array(build(input_shape=(*size, 3))(noise(2, *size, 3)))
    assert y.shape == (2, 5)
    np.testing.assert_allclose(y.sum(1), 1, atol=1e-5)


@BUILDERS
def test_an_unknown_size_is_decided_by_the_image(build, noise):
    model = build(input_shape=(None, None, 3))
    assert model.input_shape == (None, None, None, 3)
    for size in ((32, 32), (33, 47)):
        assert model(noise(1, *size, 3)).shape == (1, 5)


@BUILDERS
def test_default_sizes(build):
    assert build().input_shape == (None, 224, 224, 3)
    assert build(include_top=False).input_shape == (None, None, None, 3)


def test_the_cifar_stem_keeps_the_resolution():
    model = small(stem="cifar")
    assert model.input_shape == (None, 32, 32, 3)
    assert model.get_layer("stage1_block1").output.shape == (None, 32, 32, 8)
    assert model.get_layer("stage2_block2").output.shape == (None, 16, 16, 12)


@BUILDERS
def test_input_tensor_is_an_input(build):
    image = keras.Input((32, 32, 4), name="mine")
    model = build(input_tensor=image)
    assert model.input is image
    assert model.output_shape == (None, 5)


@pytest.mark.slow
@BUILDERS
def test_input_tensor_is_another_layers_output(build, noise, max_difference):
    image = keras.Input((32, 32, 3), dtype="uint8")
    scaled = keras.layers.Rescaling(1 / 255)(image)
    model = build(input_tensor=scaled, input_shape=(32, 32, 3))
    assert model.input is image  # a list of one makes Keras warn at every call
    plain = build(input_shape=(32, 32, 3))
    plain.set_weights(model.get_weights())
    x = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("uint8")
    assert max_difference(model(x), plain(x.astype("float32") / 255)) <= 1e-5


@BUILDERS
@pytest.mark.parametrize(
    ("pooling", "reduce"), [("avg", lambda y: y.mean((1, 2))), ("max", lambda y: y.max((1, 2)))]
)
def test_pooling_without_top(build, pooling, reduce, noise, as_array):
    maps = build(include_top=False)
    pooled = build(include_top=False, pooling=pooling)
    pooled.set_weights(maps.get_weights())
    x = noise(2, 40, 33, 3)
    np.testing.assert_allclose(as_array(pooled(x)), reduce(as_array(maps(x))), atol=1e-5)
    assert len(maps.output_shape) == 4


@BUILDERS
def test_logits_are_what_softmax_is_taken_of(build, noise, max_difference):
    softmax = build(input_shape=(32, 32, 3))
    logits = build(input_shape=(32, 32, 3), classifier_activation=None)
    logits.set_weights(softmax.get_weights())
    x = noise(2, 32, 32, 3)
    assert max_difference(keras.ops.softmax(logits(x)), softmax(x)) <= 1e-6
    assert logits.get_layer("predictions").activation is keras.activations.linear


@pytest.mark.parametrize(
    ("build", "ending", "said"),
    [
        (small, ".weights.h5", {}),
        (small, ".keras", {}),
        (tiny_mobilenet, ".keras", {}),
        (tiny_csp_darknet, ".weights.h5", {}),
        (tiny_csp_darknet, ".keras", {}),
        # No file of weights alone says how it pads: a builder that has checkpoints asks.
        (tiny_mobilenet, ".weights.h5", {"padding": "same", "epsilon": 1e-3}),
    ],
)
def test_weights_from_a_file(build, ending, said, trained, noise, max_difference, tmp_path):
    model, file = trained(build(input_shape=(32, 32, 3), **said)), tmp_path / f"net{ending}"
    (model.save if ending == ".keras" else model.save_weights)(file)
    loaded, x = build(input_shape=(32, 32, 3), weights=str(file), **said), noise(2, 32, 32, 3)
    assert max_difference(loaded(x), model(x)) == 0.0


@pytest.mark.slow
def test_weights_trained_with_drop_path_fit_the_network_without(trained, tmp_path):
    model = trained(small(drop_path=0.5, se_ratio=0.25))
    model.save_weights(tmp_path / "net.weights.h5")
    loaded = small(se_ratio=0.25, weights=tmp_path / "net.weights.h5")
    for old, new in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def drop_rates(model):
    def rate(name):
        drops = [one for one in model.get_layer(name).after_branch if isinstance(one, DropPath)]
        return drops[0].rate if drops else 0.0

    return [rate(layer.name) for layer in model.layers if layer.name.startswith("stage")]


def test_drop_path_grows_linearly():
    model = ResNet("basic", (2, 3), filters=(4, 8), stem="cifar", drop_path=0.2)
    np.testing.assert_allclose(drop_rates(model), [0, 0.05, 0.1, 0.15, 0.2])


@pytest.mark.slow
def test_drop_path_of_mobilenet_counts_blocks_that_add_nothing():
    model = MobileNetV2(alpha=0.1, drop_path=0.16)
    rates = [model.get_layer(f"stage{s}_block{b}").drop_path for s, b in ((1, 1), (2, 2), (7, 1))]
    np.testing.assert_allclose(rates, [0, 0.02, 0.16])


@pytest.mark.parametrize(("stride_on", "reduce", "spatial"), [("3x3", 1, 2), ("1x1", 2, 1)])
def test_where_the_stride_is(stride_on, reduce, spatial):
    model = ResNet("bottleneck", (1, 1), filters=(8, 16), stride_on=stride_on)
    block = model.get_layer("stage2_block1")
    assert block.reduce.conv.strides == (reduce, reduce)
    assert block.spatial.conv.strides == (spatial, spatial)


@pytest.mark.slow
def test_mobilenet_shapes_are_those_of_table_2():
    model = MobileNetV2()
    ends = [
        (name, model.get_layer(name).output.shape[1:])
        for name in (
            "stem",
            "stage1_block1",
            "stage2_block2",
            "stage3_block3",
            "stage4_block4",
            "stage5_block3",
            "stage6_block3",
            "stage7_block1",
            "head",
        )
    ]
    assert [shape for _, shape in ends] == [
        (112, 112, 32),
        (112, 112, 16),
        (56, 56, 24),
        (28, 28, 32),
        (14, 14, 64),
        (14, 14, 96),
        (7, 7, 160),
        (7, 7, 320),
        (7, 7, 1280),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "arguments"), [(small, DEEP), (tiny_mobilenet, DEEP), (tiny_csp_darknet, {})]
)
def test_a_saved_model_loads(build, arguments, trained, noise, max_difference, tmp_path):
    model, x = trained(build(input_shape=(32, 32, 3), **arguments)), noise(2, 32, 32, 3)
    model.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    assert max_difference(loaded(x), model(x)) == 0.0
    for layer, old in zip(loaded.layers, model.layers, strict=True):
        assert layer.get_config() == old.get_config()


@BUILDERS
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_predictions_stay_float32_in_mixed_precision(build, policy, dtype_policy, noise):
    dtype_policy(policy)
    model = build(input_shape=(32, 32, 3))
    computes = {layer.name: layer.compute_dtype for layer in keras_private.sublayers(model)}
    assert computes["stem_conv"] == policy.removeprefix("mixed_")
    assert model.get_layer("predictions").compute_dtype == "float32"
    y = model(noise(2, 32, 32, 3))
    assert keras.backend.standardize_dtype(y.dtype) == "float32"


@pytest.mark.slow
def test_public_depths():
    for build, last in ((ResNet18, "stage4_block2"), (ResNet50, "stage4_block3")):
        model = build(include_top=False, input_shape=(32, 32, 3))
        assert model.layers[-1].name == last
        assert model.name == build.__name__.lower()


def test_csp_darknet_widths_depths_and_sizes():
    """YOLOv5m: channels 48 to 768, and 2, 4, 6 and 2 bottlenecks."""
    model = CSPDarknet(include_top=False, width=0.75, depth=0.67, input_shape=(64, 96, 3))
    assert model.get_layer("stem_act").output.shape[1:] == (32, 48, 48)
    stages = [model.get_layer(f"stage{stage}_block1") for stage in (1, 2, 3, 4)]
    assert [stage.blocks for stage in stages] == [2, 4, 6, 2]
    sides = [(16, 24), (8, 12), (4, 6), (2, 3)]
    expected = [
        (*size, channels) for size, channels in zip(sides, (96, 192, 384, 768), strict=True)
    ]
    assert [stage.output.shape[1:] for stage in stages] == expected
