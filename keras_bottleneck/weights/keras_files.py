"""Weights in Keras's files: `.h5` of Keras 2, `.weights.h5` and `.keras` of Keras 3.

Nothing in them is executed: of a `.keras` archive only the HDF5 part and the text of the
configuration are read.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from keras_bottleneck import checks
from keras_bottleneck.weights.facts import Facts, variant_of
from keras_bottleneck.weights.tensors import Tensor, Tensors

WEIGHTS_MEMBER = "model.weights.h5"
CONFIG_MEMBER = "config.json"
REGISTERED = "keras_bottleneck>"
# What Keras 3 stores under numbers, in the order of the layer's variables.
KERNEL = ("kernel", "bias")
NORM = ("gamma", "beta", "moving_mean", "moving_variance")
# Keras 2 gave the kernel of a depthwise convolution a name of its own.
RENAMED = {"depthwise_kernel": "kernel"}


def read_archive(path: Path, limit: int, stack: ExitStack) -> Tensors:
    """The tensors of a `.keras` file whose weights take up `limit` bytes at the most."""
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo(WEIGHTS_MEMBER).file_size
        if size > limit:
            raise checks.reject(
                "source", str(path), f"of at most {limit:,} bytes of weights, not {size:,}"
            )
        content = archive.read(WEIGHTS_MEMBER)
        small = archive.getinfo(CONFIG_MEMBER).file_size <= limit
        config = json.loads(archive.read(CONFIG_MEMBER)) if small else {}
    found = read_hdf5(path, stack, io.BytesIO(content))
    return Tensors(found.by_name, found.described, _facts(config))


def read_hdf5(path: Path, stack: ExitStack, content: io.BytesIO | None = None) -> Tensors:
    """The tensors of an HDF5 file, which stays open as long as `stack` does."""
    import h5py

    file = stack.enter_context(h5py.File(content or path, "r"))
    legacy = file.get("model_weights", file)
    pairs = _legacy(legacy) if "layer_names" in legacy.attrs else _numbered(file)
    return Tensors(dict(pairs), f"{path.name}")


def _legacy(group: Any) -> Iterator[tuple[str, Tensor]]:
    """The variables of a file in the format of Keras 2, which names them."""
    for layer in group.attrs["layer_names"]:
        layer = _text(layer)
        for full in group[layer].attrs["weight_names"]:
            name = _text(full).rsplit("/", 1)[-1].split(":")[0]
            yield f"{layer}/{RENAMED.get(name, name)}", _tensor(group[layer][_text(full)])


def _numbered(group: Any) -> Iterator[tuple[str, Tensor]]:
    """The variables of a file of Keras 3: the name of a layer is an attribute of its `vars`."""
    import h5py

    for key in group:
        if key == "optimizer" or not isinstance(group.get(key, getlink=True), h5py.HardLink):
            continue
        child = group[key]
        if key == "vars":
            yield from _variables(child)
        elif isinstance(child, h5py.Group):
            yield from _numbered(child)


def _variables(group: Any) -> Iterator[tuple[str, Tensor]]:
    count = len(group)
    if count and "name" not in group.attrs:
        raise ValueError(
            f"{group.name} does not name its layer, as in files of early releases of Keras 3: "
            "load it into its own model and pass that"
        )
    vectors = count > 2 or (count and group["0"].ndim == 1)
    for index, name in zip(range(count), NORM if vectors else KERNEL, strict=False):
        yield f"{_text(group.attrs['name'])}/{name}", _tensor(group[str(index)])


def _tensor(dataset: Any) -> Tensor:
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"{dataset.name} is stored in another file")
    return Tensor(tuple(dataset.shape), lambda: dataset[()])


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _facts(config: Any) -> Facts:
    """What the configuration of a network of our blocks tells of it."""
    blocks = list(_blocks(config))
    found = {
        name: {block[name] for block in blocks if name in block}
        for name in ("stride_on", "padding", "epsilon")
    }
    # A mixed network is none that a builder makes: what it says on one block is no fact.
    only = {name: values.pop() if len(values) == 1 else None for name, values in found.items()}
    return Facts(variant_of(str(only["stride_on"])), only["padding"], only["epsilon"])


def _blocks(config: Any) -> Iterator[dict[str, Any]]:
    """The settings of each block of ours, at any depth of a configuration."""
    if isinstance(config, dict):
        if str(config.get("registered_name")).startswith(REGISTERED):
            yield config["config"]
        config = list(config.values())
    if isinstance(config, list):
        for one in config:
            yield from _blocks(one)
