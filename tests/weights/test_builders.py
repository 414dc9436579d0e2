"""Builders with `weights`: the network follows a checkpoint or file, or says what to change."""

import hashlib
from dataclasses import replace

import keras
import pytest

import keras_bottleneck as kb
from keras_bottleneck import weights

from . import server as servers

SHAPE = (32, 32, 3)


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
        yield replace(weights.find("MobileNetV2"), url=url, hash=f"sha256:{digest}")


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


def test_the_network_follows_its_checkpoint(published, checkpoint, noise, max_difference):
    model = kb.MobileNetV2(SHAPE, weights=checkpoint)
    x = noise(2, *SHAPE)
    assert max_difference(published[0](x), model(x)) == 0
    # The part of the picture that torchvision cuts out, at the size of this model.
    assert kb.model_preprocessing(model) == replace(
        weights.find("MobileNetV2").preprocessing, image_size=(32, 32)
    )


def test_without_top(published, checkpoint, noise, max_difference):
    whole, x = published[0], noise(2, *SHAPE)
    model = kb.MobileNetV2(SHAPE, weights=checkpoint, include_top=False, pooling="avg")
    features = keras.Model(whole.inputs, whole.get_layer("avg_pool").output)
    assert max_difference(features(x), model(x)) == 0


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
    with pytest.raises(ValueError, match=f"^`{argument}` must be .* as checkpoint 'imagenet'"):
        kb.MobileNetV2(SHAPE, weights=checkpoint, **{argument: value})
    assert not (tmp_path / "keras").exists()


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
        weights.find("MobileNetV2"), url="https://x/net.safetensors", hash=f"sha256:{digest}"
    )
    monkeypatch.setattr(weights.checkpoints, "CHECKPOINTS", (*weights.CHECKPOINTS, row))
    model = kb.MobileNetV2(SHAPE, weights=foreign)
    assert kb.model_preprocessing(model).image_size == SHAPE[:2]
    weights.load(kb.MobileNetV2(SHAPE, padding="symmetric"), foreign)
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


@pytest.mark.parametrize("shape", [224, (224, 224), (0, 32, 3), "224"])
def test_a_wrong_shape_beside_weights(checkpoint, shape):
    with pytest.raises(ValueError, match="^`input_shape` must be"):
        kb.MobileNetV2(shape, weights=checkpoint)
