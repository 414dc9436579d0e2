"""Builders with `weights`: the network follows a checkpoint or file, or says what to change."""

import hashlib
from dataclasses import replace

import keras
import pytest

import keras_bottleneck as kb
from keras_bottleneck import weights

from . import server as servers

SHAPE = (32, 32, 3)
TORCHVISION = weights.find("MobileNetV2", "torchvision_imagenet")


@pytest.fixture(scope="module")
def published(tmp_path_factory, trained):
    """A MobileNetV2 as torchvision has it, in a file of its names."""
    model = trained(kb.MobileNetV2(SHAPE, padding="symmetric", epsilon=1e-5))
    path = tmp_path_factory.mktemp("published") / "net.safetensors"
    return model, weights.save(model, path)


@pytest.fixture(scope="module")
def checkpoint(published):
    """Its row in the table of checkpoints, on a server of the test's."""
    content = published[1].read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    with servers.serving(content) as running:
        url = running.url("well", "net.safetensors")
        yield replace(TORCHVISION, url=url, hash=f"sha256:{digest}")


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


@pytest.mark.slow
def test_the_network_follows_its_checkpoint(published, checkpoint, noise, max_difference):
    model = kb.MobileNetV2(SHAPE, weights=checkpoint)
    x = noise(2, *SHAPE)
    assert max_difference(published[0](x), model(x)) == 0
    # The part of the picture that torchvision cuts out, at the size of this model.
    assert kb.model_preprocessing(model) == replace(TORCHVISION.preprocessing, image_size=(32, 32))


@pytest.mark.slow
def test_without_top(published, checkpoint, noise, max_difference):
    whole, x = published[0], noise(2, *SHAPE)
    model = kb.MobileNetV2(SHAPE, weights=checkpoint, include_top=False, pooling="avg")
    features = keras.Model(whole.inputs, whole.get_layer("avg_pool").output)
    assert max_difference(features(x), model(x)) == 0


@pytest.mark.slow
def test_another_number_of_classes_by_hand(published, checkpoint, noise, max_difference):
    with pytest.raises(ValueError, match=r"^`classes` must be 1000 .*skip_head=True.*classes=5$"):
        kb.MobileNetV2(SHAPE, weights=checkpoint, classes=5)
    model = kb.MobileNetV2(SHAPE, classes=5, padding="symmetric")
    head = model.get_layer("predictions").get_weights()
    weights.load(model, checkpoint, skip_head=True)
    assert kb.model_preprocessing(model).image_size == SHAPE[:2]
    x = noise(2, *SHAPE)
    trunks = [
        keras.Model(one.inputs, one.get_layer("avg_pool").output) for one in (published[0], model)
    ]
    assert max_difference(trunks[0](x), trunks[1](x)) == 0
    for before, after in zip(head, model.get_layer("predictions").get_weights(), strict=True):
        assert (before == after).all()


@pytest.mark.parametrize(("argument", "value"), [("padding", "same"), ("epsilon", 1e-3)])
def test_an_argument_of_another_network_is_refused_before_the_download(
    checkpoint, argument, value, tmp_path
):
    with pytest.raises(ValueError, match=f"^`{argument}` must be .* as checkpoint 'torchvision_"):
        kb.MobileNetV2(SHAPE, weights=checkpoint, **{argument: value})
    assert not (tmp_path / "keras").exists()


@pytest.mark.slow
def test_a_file_that_does_not_tell_needs_the_callers_word(published, tmp_path):
    foreign = tmp_path / "foreign.safetensors"
    from safetensors.numpy import load_file, save_file

    save_file(load_file(published[1]), foreign)
    with pytest.raises(ValueError, match="^`epsilon` must be given"):
        kb.MobileNetV2(SHAPE, weights=foreign, padding="symmetric")
    with pytest.raises(ValueError, match="^`model` must be built with padding='symmetric'"):
        kb.MobileNetV2(SHAPE, weights=foreign, epsilon=1e-5)
    kb.MobileNetV2(SHAPE, weights=foreign, epsilon=1e-5, padding="symmetric")


def test_a_published_file_needs_none(published, tmp_path, monkeypatch):
    """Its name and its hash tell."""
    foreign = tmp_path / "net.safetensors"
    from safetensors.numpy import load_file, save_file

    save_file(load_file(published[1]), foreign)
    digest = hashlib.sha256(foreign.read_bytes()).hexdigest()
    row = replace(
        TORCHVISION,
        url="https://x/net.safetensors",
        hash=f"sha256:{digest}",
    )
    monkeypatch.setattr(weights.checkpoints, "CHECKPOINTS", (*weights.CHECKPOINTS, row))
    built = kb.MobileNetV2(SHAPE, weights=foreign)
    loaded = kb.MobileNetV2(SHAPE, padding="symmetric")
    weights.load(loaded, foreign)
    for model in (built, loaded):
        assert kb.model_preprocessing(model) == row.preprocessing_for(SHAPE)
    foreign.write_bytes(foreign.read_bytes() + b" ")
    with pytest.raises(ValueError):
        kb.MobileNetV2(SHAPE, weights=foreign)


@pytest.mark.parametrize("name", ["imagenet21k", "", 3, "no/such.pth", "README.md"])
def test_wrong_weights(name):
    with pytest.raises(ValueError, match="^`weights` must be None, one of 'imagenet'") as error:
        kb.ResNet50(weights=name)
    assert "\n" not in str(error.value)


def test_a_network_of_ones_own_from_a_file(trained, tmp_path, noise, max_difference):
    arguments = {"filters": (8,), "stem": "cifar", "classes": 3, "input_shape": SHAPE}
    model = trained(kb.ResNet("basic", (1,), **arguments))
    for path in (
        weights.save(model, tmp_path / "net.safetensors"),
        weights.save(model, tmp_path / "own.safetensors", "keras"),
    ):
        loaded = kb.ResNet("basic", (1,), weights=path, **arguments)
        assert max_difference(model(noise(2, *SHAPE)), loaded(noise(2, *SHAPE))) == 0
        with pytest.raises(ValueError, match="^`epsilon` must be 1e-05, as .* was trained"):
            kb.ResNet("basic", (1,), weights=path, epsilon=1e-3, **arguments)


@pytest.mark.slow
@pytest.mark.full
def test_a_builder_advises_what_it_takes(published, trained, tmp_path):
    model = trained(kb.ResNet50(input_shape=SHAPE, classes=3))
    path = weights.save(model, tmp_path / "net.safetensors")
    said = {"weights": path, "input_shape": SHAPE, "classes": 3}
    with pytest.raises(ValueError, match="^`stride_on` must be '3x3', as .*stride_on='1x1'$"):
        kb.ResNet50(stride_on="1x1", **said)
    by_hand = r"call `weights\.load\(model, source, "
    with pytest.raises(ValueError, match=rf"{by_hand}skip_head=True\)`"):
        kb.ResNet50(**{**said, "classes": 5})
    with pytest.raises(ValueError, match=rf"{by_hand}adapt_stem=True\)`"):
        kb.ResNet50(**{**said, "input_shape": (32, 32, 1)})
    own = tmp_path / "own.weights.h5"
    model.save_weights(own)
    message = "^`stride_on` and `padding` and `epsilon` must be given, .*stride_on=None"
    with pytest.raises(ValueError, match=message):
        kb.ResNet50(**{**said, "weights": own})
    kb.ResNet50(**{**said, "weights": own}, stride_on="3x3", padding="symmetric", epsilon=1e-5)


def test_other_channels_than_the_checkpoints(checkpoint, tmp_path):
    message = (
        r"^`input_shape` must have 3 channels .* adapt_stem=True\)`.*input_shape=\(32, 32, 1\)$"
    )
    with pytest.raises(ValueError, match=message):
        kb.MobileNetV2((32, 32, 1), weights=checkpoint)
    assert not (tmp_path / "keras").exists()


@pytest.mark.parametrize(
    ("channels", "mean"),
    [(1, (0.449,)), (3, (0.485, 0.456, 0.406)), (4, (0.485, 0.456, 0.406, 0.485))],
)
def test_an_adapted_stem_has_the_preprocessing_of_its_channels(checkpoint, channels, mean):
    model = kb.MobileNetV2((32, 32, channels), padding="symmetric")
    weights.load(model, checkpoint, adapt_stem=True)
    found = kb.model_preprocessing(model)
    assert found.input_shape == (32, 32, channels)
    assert found.mean == pytest.approx(mean)


def test_blue_first_has_no_fourth_channel():
    row = weights.find("ResNet50", "keras_imagenet")
    assert row.preprocessing_for((64, 64, 4)) is None
    grey = row.preprocessing_for((64, 64, 1))
    assert (grey.color_order, grey.mean) == ("rgb", (pytest.approx(114.8, abs=0.1),))


# Preprocessing that is there already.


def test_another_checkpoint_brings_its_own_preprocessing(checkpoint):
    model = kb.MobileNetV2(SHAPE, padding="symmetric")
    model.preprocessing = weights.find("ResNet18", "torchvision_imagenet").preprocessing_for(SHAPE)
    newer = replace(checkpoint, preprocessing=weights.find("ResNet50", "imagenet_v2").preprocessing)
    weights.load(model, newer)
    assert kb.model_preprocessing(model) == newer.preprocessing_for(SHAPE)


def test_a_preprocessing_of_ones_own_stays_with_a_warning(checkpoint):
    own = kb.Preprocessing(32, scale=1 / 127.5, mean=(1.0,))
    model = kb.MobileNetV2(SHAPE, padding="symmetric", preprocessing=own)
    with pytest.warns(UserWarning, match="was trained on other inputs than the preprocessing"):
        weights.load(model, checkpoint)
    assert kb.model_preprocessing(model) == own
    message = "^`preprocessing` must be one with scale=0.0039.*, as checkpoint 'torchvision_"
    with pytest.raises(ValueError, match=message):
        kb.MobileNetV2(SHAPE, weights=checkpoint, preprocessing=own)


@pytest.mark.slow
def test_another_crop_is_a_matter_of_taste(checkpoint, recwarn):
    taken = checkpoint.preprocessing_for(SHAPE)
    # Even where another checkpoint of the table has it.
    newer = weights.find("ResNet50", "imagenet_v2").preprocessing_for(SHAPE)
    assert newer != taken
    for own in (newer, replace(taken, resize="stretch", crop_fraction=1.0)):
        model = kb.MobileNetV2(SHAPE, weights=checkpoint, preprocessing=own)
        assert kb.model_preprocessing(model) == own
    weights.load(model, checkpoint)
    assert kb.model_preprocessing(model) == own
    assert not [one for one in recwarn if "preprocessing" in str(one.message)]


def test_a_network_inside_another_model_gets_it(checkpoint):
    model = keras.Sequential([kb.MobileNetV2(SHAPE, padding="symmetric")])
    weights.load(model, checkpoint)
    assert kb.model_preprocessing(model) == checkpoint.preprocessing_for(SHAPE)


def test_a_network_that_normalizes_needs_none(checkpoint):
    model = kb.MobileNetV2(
        SHAPE,
        padding="symmetric",
        preprocessing=checkpoint.preprocessing_for(SHAPE),
        include_preprocessing=True,
    )
    before = kb.model_preprocessing(model)
    weights.load(model, checkpoint)
    assert kb.model_preprocessing(model) == before
    assert before.scale == 1


@pytest.mark.parametrize("shape", [224, (224, 224), (0, 32, 3), "224"])
def test_a_wrong_shape_beside_weights(checkpoint, shape):
    with pytest.raises(ValueError, match="^`input_shape` must be"):
        kb.MobileNetV2(shape, weights=checkpoint)
