"""Weights in Keras's files: `.h5` of Keras 2, `.weights.h5` and `.keras` of Keras 3.

Nothing in them is executed: of a `.keras` archive only the HDF5 part and the text of the
configuration are read.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from keras_bottleneck.runtime.hdf5 import admit, check_heaps
from keras_bottleneck.weights.facts import Convolution, Facts, settings, stride_at
from keras_bottleneck.weights.tensors import Tensor, Tensors, named_once, printable

WEIGHTS_MEMBER = "model.weights.h5"
CONFIG_MEMBER = "config.json"
REGISTERED = "keras_bottleneck>"
# The ends of the names of their classes, also of depthwise, quantized and this package's layers.
CONVOLUTION = "Conv2D"
NORMALIZATION = "BatchNormalization"
# A network of 1,202 layers takes up about 1 MiB.
LONGEST_CONFIG = 2**24
# What Keras 3 stores under numbers, in the order of the layer's variables.
KERNEL = ("kernel", "bias")
NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def read_archive(path: Path, limit: int, stack: ExitStack) -> Tensors:
    """The tensors of a `.keras` file whose weights take up `limit` bytes at the most."""
    with zipfile.ZipFile(path) as archive:
        content = _member(archive, WEIGHTS_MEMBER, limit)
        config = json.loads(_member(archive, CONFIG_MEMBER, LONGEST_CONFIG))
    found = read_hdf5(path, stack, io.BytesIO(content))
    return Tensors(found.by_name, found.described, _facts(config))


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    info = archive.getinfo(name)
    if info.file_size > limit:
        raise ValueError(f"{name} unpacks to {info.file_size:,} bytes, {limit:,} are allowed")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is compressed in a way that Keras has no use for")
    with archive.open(info) as file:
        return file.read(info.file_size)  # without a size, a false one would not bound memory


def read_hdf5(path: Path, stack: ExitStack, content: io.BytesIO | None = None) -> Tensors:
    """The tensors of an HDF5 file, which stays open as long as `stack` does."""
    import h5py

    if content is None:
        admit(path)
    else:  # an archive's checksums find other damage
        check_heaps(content.getvalue())
    file = stack.enter_context(h5py.File(content or path, "r"))
    legacy = _inside(file, "model_weights") if "model_weights" in file else file
    pairs = _legacy(legacy) if "layer_names" in legacy.attrs else _numbered(file, set())
    return Tensors(named_once(pairs), printable(path.name))


def _legacy(group: Any) -> Iterator[tuple[str, Tensor]]:
    """The variables of a file in the format of Keras 2, which names them."""
    for layer in map(_text, group.attrs["layer_names"]):
        variables = _inside(group, layer)
        paths = [_text(path) for path in variables.attrs["weight_names"]]
        # A layer of layers: each is named in the path.
        several = len({path.rpartition("/")[0] for path in paths}) > 1
        for path in paths:
            inside = path if several else path.rpartition("/")[2]
            yield f"{layer}/{inside}", _tensor(_inside(variables, path))


def _numbered(group: Any, seen: set[int], above: str | None = None) -> Iterator[tuple[str, Tensor]]:
    """The variables of a file of Keras 3: the name of a layer is an attribute of its `vars`.

    Args:
        group: Of a layer, or of several.
        seen: Addresses of what has been read.
        above: The names of the layers around it, each with a slash behind it; None for the whole
            model, whose own name is none of them.
    """
    import h5py

    own = group["vars"].attrs.get("name") if _is_group(group, "vars") else None
    path = above or ""
    if above is not None and own is not None:
        path = f"{above}{_text(own)}/"

    for key in group:
        if key == "optimizer":
            continue
        child = _inside(group, key)
        address = h5py.h5o.get_info(child.id).addr
        if address in seen:
            raise ValueError(f"{child.name} is there twice")
        seen.add(address)
        if key == "vars":
            yield from _variables(child, path)
        elif isinstance(child, h5py.Group):
            yield from _numbered(child, seen, path)


def _is_group(group: Any, key: str) -> bool:
    """Whether `key` is a group in `group` itself, and no link."""
    import h5py

    is_own = isinstance(group.get(key, getlink=True), h5py.HardLink)
    return is_own and isinstance(group[key], h5py.Group)


def _variables(group: Any, path: str) -> Iterator[tuple[str, Tensor]]:
    count = len(group)
    if count and "name" not in group.attrs:
        raise ValueError(
            f"{group.name} does not name its layer, as in files of early releases of Keras 3: "
            "load it into its own model and pass that"
        )
    found = [_tensor(_inside(group, str(index))) for index in range(count)]
    vectors = count > 2 or (count and len(found[0].shape) == 1)
    for name, tensor in zip(NORM if vectors else KERNEL, found, strict=False):
        yield f"{path or _text(group.attrs['name']) + '/'}{name}", tensor


def _inside(group: Any, path: str) -> Any:
    """What lies at `path` in `group`, not in another file to which a link leads."""
    import h5py

    for key in path.split("/"):
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise ValueError(f"{path} is missing, or a link")
        group = group[key]
    return group


def _tensor(dataset: Any) -> Tensor:
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"{dataset.name} is stored in another file")
    if dataset.id.get_create_plist().get_nfilters():
        # Keras compresses nothing; what a few bytes unpack to is known too late.
        raise ValueError(f"{dataset.name} is compressed")
    return Tensor(tuple(dataset.shape), partial(_read, dataset))


def _read(dataset: Any) -> Any:
    if dataset.dtype.kind not in "fV" or dataset.dtype.itemsize > 8:
        raise ValueError(f"dtype {dataset.dtype}")
    value = dataset[()]
    return value.view("bfloat16") if dataset.dtype == "V2" else value  # HDF5 has no bfloat16


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _facts(config: Any) -> Facts:
    """What the configuration of a network of this package, whole or flat, tells."""
    layers = list(_layers(config))
    blocks = [one for kind, one in layers if kind.startswith(REGISTERED) and "padding" in one]
    if blocks:
        found = {
            "stride_on": {one["stride_on"] for one in blocks if "stride_on" in one},
            "padding": {one["padding"] for one in blocks},
            "epsilon": {one["epsilon"] for one in blocks},
            "stride_at": stride_at(f"{one['name']}_conv" for one in blocks if _strides(one)),
        }
    else:
        convolutions = [
            Convolution(one["name"], max(one["kernel_size"]), max(one["strides"]), one["padding"])
            for kind, one in layers
            if kind.endswith(CONVOLUTION)
        ]
        norms = [one for kind, one in layers if kind.endswith(NORMALIZATION)]
        found = settings(convolutions, {one["name"]: one["epsilon"] for one in norms})
    # A mixed network is none that a builder makes: what it says on one block is no fact.
    return Facts(**{name: one.pop() if len(one) == 1 else None for name, one in found.items()})


def _strides(block: dict[str, Any]) -> bool:
    return block.get("stride", 1) not in (1, [1, 1])


def _layers(config: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Registered or class name and configuration of each layer, at any depth."""
    if isinstance(config, dict):
        if isinstance(config.get("config"), dict):
            name = config.get("registered_name") or config.get("class_name")
            yield str(name), config["config"]
        config = list(config.values())
    if isinstance(config, list):
        for one in config:
            yield from _layers(one)
