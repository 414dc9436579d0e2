"""Folders that transformers has saved: their config.json tells what tensors do not."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from keras_bottleneck.weights.facts import Facts, checked_facts
from keras_bottleneck.weights.tensors import RefusedError

CONFIG = "config.json"
# The first that is there is read.
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
# Longer is no description of a network.
LONGEST = 2**20


class Family(NamedTuple):
    """How one kind of network is described.

    Attributes:
        facts: Reads in the description what decides the network's numbers.
        fixed: Settings that have a single value in networks of this package, and show in no tensor.
    """

    facts: Callable[[Mapping[str, Any]], Facts]
    fixed: Mapping[str, Any]


def _resnet(config: Mapping[str, Any]) -> Facts:
    stride_on = "1x1" if config.get("downsample_in_bottleneck", False) else "3x3"
    # transformers has no other epsilon than PyTorch's.
    return Facts(stride_on, "symmetric", 1e-5)


def _mobilenet_v2(config: Mapping[str, Any]) -> Facts:
    padding = "same" if config.get("tf_padding", True) else "symmetric"
    return checked_facts(None, padding, config.get("layer_norm_eps", 1e-3))


FAMILIES = {
    "resnet": Family(_resnet, {"hidden_act": "relu", "downsample_in_first_stage": False}),
    "mobilenet_v2": Family(_mobilenet_v2, {"hidden_act": "relu6", "output_stride": 32}),
}


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder of this kind."""
    return (path / CONFIG).is_file()


def weights_in(folder: Path) -> Path:
    """The file with the tensors.

    Raises:
        RefusedError: If there is none, as where they are spread over several.
    """
    found = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if found is None:
        raise RefusedError(
            f"`source` must be a folder with {' or '.join(WEIGHTS)}. Received: source='{folder}'"
        )
    return found


def facts_in(folder: Path) -> Facts:
    """What the description tells of the network.

    Raises:
        ValueError: If it cannot be read, or describes a network that this package does not have.
    """
    path = folder / CONFIG
    try:
        if path.stat().st_size > LONGEST:
            raise ValueError("too long")
        config = json.loads(path.read_bytes())
        kind = str(config["model_type"])
    except (OSError, ValueError, KeyError, TypeError):
        raise RefusedError(
            f"`source` must describe its network in {CONFIG}. Received: source='{folder}'"
        ) from None
    if kind not in FAMILIES:
        raise RefusedError(
            f"`source` must have the model_type {' or '.join(map(repr, FAMILIES))}. "
            f"Received: model_type={kind!r}"
        )
    family = FAMILIES[kind]
    for name, value in family.fixed.items():
        if config.get(name, value) != value:
            raise RefusedError(
                f"`source` must have {name}={value!r}, as networks of this package do. "
                f"Received: {name}={config[name]!r}"
            )
    return family.facts(config)
