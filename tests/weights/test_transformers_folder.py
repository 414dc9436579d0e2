"""Folders that transformers has saved: what tensors do not tell, their config.json does."""

import json

import numpy as np
import pytest

import keras_bottleneck as kb
from keras_bottleneck import weights

from .networks import basic, equal, torchvision_state


def resnet_state():
    """The weights of `basic()` under the names of transformers."""
    names = {
        "conv1.": "resnet.embedder.embedder.convolution.",
        "bn1.": "resnet.embedder.embedder.normalization.",
        "fc.": "classifier.1.",
    }
    inside = {
        "conv1": "layer.0.convolution",
        "bn1": "layer.0.normalization",
        "conv2": "layer.1.convolution",
        "bn2": "layer.1.normalization",
        "downsample.0": "shortcut.convolution",
        "downsample.1": "shortcut.normalization",
    }
    names |= {
        f"layer{stage}.0.{theirs}.": f"resnet.encoder.stages.{stage - 1}.layers.0.{ours}."
        for stage in (1, 2)
        for theirs, ours in inside.items()
    }
    return {
        f"{new}{name.removeprefix(old)}": tensor
        for name, tensor in torchvision_state().items()
        for old, new in names.items()
        if name.startswith(old)
    }


@pytest.fixture
def saved(tmp_path):
    """A function: a folder with those weights and a description with changes."""
    from safetensors.numpy import save_file

    def write(**changes):
        state = {name: np.ascontiguousarray(one) for name, one in resnet_state().items()}
        save_file(state, tmp_path / "model.safetensors")
        config = {"model_type": "resnet", "layer_type": "basic", "hidden_act": "relu", **changes}
        (tmp_path / "config.json").write_text(json.dumps(config))
        return tmp_path

    return write


def test_nothing_has_to_be_said(saved):
    model, wanted = basic(), basic()
    weights.load(model, saved())
    weights.load(wanted, torchvision_state(), epsilon=1e-5)
    assert equal(model, wanted)
    built = kb.ResNet(
        "basic",
        (1, 1),
        filters=(4, 8),
        classes=3,
        input_shape=(32, 32, 3),
        weights=str(saved()),
    )
    assert equal(built, wanted)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_act": "gelu"}, "must have hidden_act='relu', as"),
        ({"downsample_in_first_stage": True}, "must have downsample_in_first_stage=False"),
        ({"model_type": "vit"}, "must have the model_type 'resnet' or 'mobilenet_v2'"),
        (
            {"model_type": "mobilenet_v2", "hidden_act": "relu6", "output_stride": 8},
            "must have output_stride=32",
        ),
    ],
    ids=str,
)
def test_another_network_is_refused(refused, saved, changes, message):
    assert message in refused(basic(), saved(**changes))


def test_what_the_description_tells_is_compared(refused, saved):
    told = saved(model_type="mobilenet_v2", layer_norm_eps=1e-3, hidden_act="relu6")
    assert "built with padding='same', epsilon=0.001" in refused(basic(), told)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model_type": []}', "7", "{"])
def test_a_damaged_description(refused, saved, text):
    folder = saved()
    (folder / "config.json").write_text(text)
    refused(basic(), folder)


def test_a_folder_without_weights(refused, saved):
    folder = saved()
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    assert "with model.safetensors or pytorch_model.bin" in refused(basic(), folder)
    (folder / "config.json").unlink()
    assert "a folder of transformers'" in refused(basic(), folder)
