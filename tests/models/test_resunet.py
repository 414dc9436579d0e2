"""The segmenter: a class for every pixel at every size, and what passes and training make of it."""

import keras
import numpy as np
import pytest

import keras_bottleneck as kb
from keras_bottleneck import graph
from keras_bottleneck.models import MobileNetV2, ResNet, ResNet18, ResUNet


def backbone(shape=(21, 30, 3), **arguments):
    return ResNet(
        "basic", (1, 1), filters=(4, 8), include_top=False, input_shape=shape, **arguments
    )


@pytest.mark.parametrize("size", [(32, 48), (21, 30), (1, 1), (17, 9)])
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
def test_a_class_for_each_pixel_whatever_the_size(size, known, stem, noise, as_array):
    network = backbone((*size, 3) if known else (None, None, 3), stem=stem)
    model = ResUNet(network, 5, filters=2)
    assert model.output_shape == (None, *(size if known else (None, None)), 5)
    y = as_array(model(noise(2, *size, 3)))
    assert y.shape == (2, *size, 5)
    np.testing.assert_allclose(y.sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize(
    "network",
    [
        lambda: MobileNetV2((75, 64, 3), alpha=0.35),
        lambda: graph.fold(backbone((75, 64, 3))),
        lambda: ResNet("basic", (1,), filters=(4,), stem="cifar", input_shape=(75, 64, 3)),
        lambda: ResNet("basic", (1,), filters=(4,), input_shape=(75, 64, 3)),
    ],
    ids=["mobilenet", "folded", "one_level", "one_level_and_stem"],
)
def test_every_backbone(network):
    assert ResUNet(network(), 3, filters=2).output_shape == (None, 75, 64, 3)


def test_blocks_widen_with_the_stride():
    model = ResUNet(ResNet18(include_top=False), 3)
    blocks = [layer for layer in model.layers if layer.name.startswith("decoder")]
    found = [(one.name, one.filters) for one in blocks if one.name.endswith("_block")]
    assert found == [(f"decoder{n}_block", 16 * n) for n in (16, 8, 4, 2, 1)]
    assert model.get_layer("decoder4_block").output.shape == (None, None, None, 64)
    assert model.name == "resnet18_unet"


def test_logits_are_what_softmax_is_taken_of(noise, max_difference):
    softmax = ResUNet(backbone(), 3, filters=2)
    logits = ResUNet(backbone(), 3, filters=2, classifier_activation=None)
    logits.set_weights(softmax.get_weights())
    x = noise(2, 21, 30, 3)
    assert max_difference(keras.ops.softmax(logits(x)), softmax(x)) <= 1e-6


def test_the_backbone_is_shared_and_its_preprocessing_carried():
    preprocessing = kb.Preprocessing((21, 30), std=(0.5,))
    network = backbone(preprocessing=preprocessing)
    model = ResUNet(network, 3)
    assert model.get_layer("stage2_block1") is network.get_layer("stage2_block1")
    assert kb.model_preprocessing(model) == preprocessing


@pytest.mark.parametrize("shape", [(21, 30, 3), (None, None, 3)])
@pytest.mark.parametrize("change", [graph.flatten, graph.fold], ids=["flatten", "fold"])
def test_passes_keep_what_it_computes(shape, change, trained, noise, max_difference):
    model, x = trained(ResUNet(backbone(shape), 3, filters=2)), noise(2, 21, 30, 3)
    assert max_difference(change(model)(x), model(x)) <= 1e-4


@pytest.mark.slow
def test_a_saved_model_loads(trained, noise, max_difference, tmp_path):
    model, x = trained(ResUNet(backbone((None, None, 3)), 3, filters=2)), noise(2, 21, 30, 3)
    model.save(tmp_path / "unet.keras")
    loaded = keras.saving.load_model(tmp_path / "unet.keras")
    assert max_difference(loaded(x), model(x)) == 0.0


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_fit_on_masks_moves_every_weight(policy, dtype_policy, noise):
    dtype_policy(policy)
    model = ResUNet(backbone(), 3, filters=2)
    assert keras.backend.standardize_dtype(model.output.dtype) == "float32"
    before = model.get_weights()
    model.compile(
        keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(), run_eagerly=True
    )
    masks = np.random.default_rng(0).integers(0, 3, (4, 21, 30))
    model.fit(noise(4, 21, 30, 3), masks, batch_size=2, verbose=0)
    for variable, old, new in zip(model.weights, before, model.get_weights(), strict=True):
        assert np.isfinite(new).all(), variable.path
        assert (old != new).any(), variable.path


WRONG = {
    "model": lambda: ResUNet(None, 3),
    "classes": lambda: ResUNet(backbone(), 0),
    "filters": lambda: ResUNet(backbone(), 3, filters=0.5),
    "classifier_activation": lambda: ResUNet(backbone(), 3, classifier_activation="softmaks"),
    "name": lambda: ResUNet(backbone(), 3, name=7),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_argument_is_named(case):
    with pytest.raises(ValueError, match=rf"^`{case}` must be .*\. Received: \w+="):
        WRONG[case]()
