"""The feature pyramid: its maps at every size, and what passes and training make of it."""

import keras
import numpy as np
import pytest

import keras_bottleneck as kb
from keras_bottleneck import graph
from keras_bottleneck.models import FPN, MobileNetV2, ResNet, ResNet50, feature_info


def backbone(shape=(37, 50, 3), **arguments):
    return ResNet(
        "basic", (1, 1, 1), filters=(4, 8, 12), include_top=False, input_shape=shape, **arguments
    )


def shapes(outputs):
    return [tuple(one.shape) for one in outputs]


@pytest.mark.parametrize("size", [(64, 96), (37, 50), (1, 1), (33, 17)])
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_a_map_at_each_stride_whatever_the_size(size, known, noise):
    network = backbone((*size, 3) if known else (None, None, 3))
    maps = FPN(network, 6)(noise(2, *size, 3))
    strides = [feature.stride for feature in feature_info(network)]
    assert strides == [2, 4, 8, 16]
    assert shapes(maps) == [(2, *(-(-side // stride) for side in size), 6) for stride in strides]


@pytest.mark.parametrize(
    ("network", "strides"),
    [
        (lambda: ResNet50(input_shape=(96, 80, 3)), (2, 4, 8, 16, 32)),
        (lambda: MobileNetV2((75, 96, 3), alpha=0.35), (2, 4, 8, 16, 32)),
        (lambda: graph.fold(backbone()), (2, 4, 8, 16)),
        (lambda: backbone(stem="cifar"), (1, 2, 4)),
    ],
    ids=["resnet50", "mobilenet", "folded", "cifar"],
)
def test_every_backbone(network, strides):
    model = FPN(network(), 5)
    _, height, width, _ = model.input_shape
    expected = [(None, -(-height // stride), -(-width // stride), 5) for stride in strides]
    assert model.output_shape == expected


def test_the_parameters_of_the_paper():
    """256 channels, four levels of ResNet-50: what torchvision's FeaturePyramidNetwork has."""
    network = ResNet50(include_top=False)
    model = FPN(network, strides=(4, 8, 16, 32))
    lateral = sum(256 * channels + 256 for channels in (256, 512, 1024, 2048))
    assert model.count_params() - network.count_params() == lateral + 4 * (9 * 256 * 256 + 256)
    assert model.name == "resnet50_fpn"


def nearest(x, size):
    """`x` at another size, as torch.nn.functional.interpolate(mode="nearest") has it."""
    rows, columns = (
        np.floor(np.arange(new) * (old / new)).astype(int)
        for new, old in zip(size, x.shape[1:3], strict=True)
    )
    return x[:, rows][:, :, columns]


@pytest.mark.parametrize("shape", [(37, 50, 3), (None, None, 3)])
def test_the_sums_are_the_papers(shape, trained, noise, as_array):
    """Every level from the backbone's maps, by hand."""
    network = backbone(shape)
    model, x = trained(FPN(network, 6)), noise(2, 37, 50, 3)
    maps = [as_array(one) for one in kb.feature_pyramid(network)(x)]
    above = None
    levels = zip((2, 4, 8, 16), maps, model(x), strict=True)
    for stride, c, found in reversed(list(levels)):
        kernel, bias = model.get_layer(f"fpn{stride}_lateral").get_weights()
        merged = c @ kernel[0, 0] + bias
        above = merged if above is None else merged + nearest(above, merged.shape[1:3])
        smooth = model.get_layer(f"fpn{stride}_smooth")
        np.testing.assert_allclose(as_array(found), as_array(smooth(above)), atol=1e-4)


def test_levels_may_be_left_out(noise):
    network = backbone((37, 50, 3))
    maps = FPN(network, 6, strides=(2, 16), name="two")(noise(1, 37, 50, 3))
    assert shapes(maps) == [(1, 19, 25, 6), (1, 3, 4, 6)]
    assert FPN(network, 6, strides=[8])(noise(1, 37, 50, 3)).shape == (1, 5, 7, 6)


def test_the_backbone_is_shared_and_its_preprocessing_carried():
    preprocessing = kb.Preprocessing((37, 50), std=(0.5,))
    network = backbone(preprocessing=preprocessing)
    model = FPN(network, 4)
    assert model.get_layer("stage2_block1") is network.get_layer("stage2_block1")
    assert kb.model_preprocessing(model) == preprocessing
    assert isinstance(model.input, keras.KerasTensor)  # a list makes Keras warn at every call


@pytest.mark.parametrize("shape", [(37, 50, 3), (None, None, 3)])
@pytest.mark.parametrize("change", [graph.flatten, graph.fold], ids=["flatten", "fold"])
def test_passes_keep_what_it_computes(shape, change, trained, noise, max_difference):
    model, x = trained(FPN(backbone(shape), 6)), noise(2, 37, 50, 3)
    assert max_difference(change(model)(x), model(x)) <= 1e-4


def test_a_saved_model_loads(trained, noise, max_difference, tmp_path):
    model, x = trained(FPN(backbone((None, None, 3)), 6)), noise(2, 37, 50, 3)
    model.save(tmp_path / "fpn.keras")
    loaded = keras.saving.load_model(tmp_path / "fpn.keras")
    assert max_difference(loaded(x), model(x)) == 0.0


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_fit_moves_every_weight(policy, dtype_policy, noise):
    dtype_policy(policy)
    model = FPN(backbone((19, 19, 3), stem="cifar"), 4)
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(1e-2), ["mse"] * 3, run_eagerly=True)
    targets = [noise(4, side, side, 4, seed=side) for side in (19, 10, 5)]
    model.fit(noise(4, 19, 19, 3), targets, batch_size=2, verbose=0)
    for variable, old, new in zip(model.weights, before, model.get_weights(), strict=True):
        assert np.isfinite(new).all(), variable.path
        assert (old != new).any(), variable.path


WRONG = {
    "model": lambda: FPN(None),
    "model ": lambda: FPN(keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 1)])),
    "filters": lambda: FPN(backbone(), 0),
    "strides": lambda: FPN(backbone(), strides=(4, 32)),
    "strides ": lambda: FPN(backbone(), strides=(8, 4)),
    "strides  ": lambda: FPN(backbone(), strides=()),
    "strides   ": lambda: FPN(backbone(), strides=8),
    "name": lambda: FPN(backbone(), name=""),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_argument_is_named(case):
    with pytest.raises(ValueError, match=rf"^`{case.strip()}` must be .*\. Received: \w+="):
        WRONG[case]()
