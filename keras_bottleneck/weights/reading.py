"""Whatever holds trained weights, as tensors by name; nothing that a file says is executed."""

import json
import mmap
import pickle
import zipfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import keras

from keras_bottleneck import checks
from keras_bottleneck.weights import keras_files, tensors, transformers_folder
from keras_bottleneck.weights.checkpoints import Checkpoint, published
from keras_bottleneck.weights.facts import Facts, facts_stored
from keras_bottleneck.weights.tensors import RefusedError, Tensor, Tensors, printable

# The entry of a safetensors file's metadata that `save` writes the facts to.
FACTS = "keras_bottleneck"
# Where training scripts keep the weights among the rest of a checkpoint.
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "weights")
# Beside them, the moving averages of the weights: another network of the same shape.
AVERAGES = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
DEEPEST = 3
# Before, `weights_only=True` could be got round (CVE-2025-32434).
SAFE_TORCH = (2, 6)
# The one thing that `weights_only=True` calls with a number of bytes to be filled.
ALLOCATES = b"\nbytearray\n"


def read(source: Any, limit: int, stack: ExitStack) -> Tensors:
    """The tensors of `source`, to be read while `stack` is open.

    Args:
        source: A checkpoint, a Keras model, a state dict, or the path of a file or of a folder that
            transformers has written.
        limit: The most bytes of weights that an archive may unpack to.
        stack: Closes the file.

    Raises:
        ValueError: If `source` is none of these, or the file is damaged or holds anything but
            tensors.
        ImportError: If the package that reads such a file is not installed.
        DownloadError: If a checkpoint cannot be downloaded.
    """
    if isinstance(source, Checkpoint):
        return _of_checkpoint(_read_file(source.download(), limit, stack), source)
    if isinstance(source, keras.Model):
        return tensors.of_model(source)
    if isinstance(source, Mapping):
        return tensors.of_mapping(_unwrapped(source), "the state dict")
    path = Path(source) if isinstance(source, (str, Path)) else None
    if path is not None and transformers_folder.is_folder(path):
        found = _read_file(transformers_folder.weights_in(path), limit, stack)
        return replace(found, facts=transformers_folder.facts_in(path))
    if path is None or not path.name.lower().endswith(tuple(READERS)):
        others = "a Keras model, a state dict, a checkpoint, a folder of transformers'"
        accepted = f"{others}, or a file that ends in {', '.join(READERS)}"
        raise checks.reject("source", source, accepted)
    if not path.is_file():
        raise checks.reject("source", str(path), "an existing file")
    found = _read_file(path, limit, stack)
    checkpoint = published(path)
    return _of_checkpoint(found, checkpoint) if checkpoint else found


def _of_checkpoint(found: Tensors, checkpoint: Checkpoint) -> Tensors:
    return replace(found, facts=checkpoint.facts, checkpoint=checkpoint)


def _read_file(path: Path, limit: int, stack: ExitStack) -> Tensors:
    """The tensors of a file that exists and has one of the endings of `READERS`."""
    ending = next(end for end in READERS if path.name.lower().endswith(end))
    try:
        # An honest archive stores its tensors as they are.
        return READERS[ending](path, max(limit, path.stat().st_size), stack)
    except (ImportError, RefusedError):
        raise
    except Exception as error:  # parsers of damaged files raise almost anything
        reason = checks.first_line(error)
        accepted = f"a whole {ending} file of weights ({reason})"
        raise checks.reject("source", str(path), accepted) from None


def _read_safetensors(path: Path, limit: int, stack: ExitStack) -> Tensors:
    from safetensors import safe_open

    file = stack.enter_context(safe_open(path, framework="numpy"))
    names = list(file.keys())  # noqa: SIM118 - it is no dict
    found = {
        name: Tensor(tuple(file.get_slice(name).get_shape()), partial(file.get_tensor, name))
        for name in names
    }
    told = (file.metadata() or {}).get(FACTS)
    facts = facts_stored(**json.loads(told)) if told else Facts()
    return Tensors(found, printable(path.name), facts)


def _read_torch(path: Path, limit: int, stack: ExitStack) -> Tensors:
    try:
        import torch
    except ImportError:
        raise ImportError(
            f"Reading {path.name} needs PyTorch: pip install torch (or have the file converted to "
            ".safetensors)."
        ) from None

    if tuple(map(int, torch.__version__.split(".")[:2])) < SAFE_TORCH:
        raise ImportError(f"Reading {path.name} needs PyTorch 2.6 or later: pip install -U torch.")
    if zipfile.is_zipfile(path):
        _check_archive(path, limit)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(ALLOCATES) >= 0:
            raise ValueError("it asks for memory that holds no tensor")
    try:
        # Tensors and plain containers only: anything else in the pickle is refused, not run.
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # PyTorch's message is advice to run it
        raise ValueError("it is damaged, or holds other objects than tensors") from None
    if not isinstance(state, Mapping):
        raise ValueError(f"it holds a {type(state).__name__}, not a state dict")
    return tensors.of_mapping(_unwrapped(state), printable(path.name))


def _check_archive(path: Path, limit: int) -> None:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    size = sum(member.file_size for member in members)
    if size > limit:
        raise ValueError(f"it unpacks to {size:,} bytes, {limit:,} are allowed")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("it is compressed, which PyTorch's files are not")


def _read_hdf5(path: Path, limit: int, stack: ExitStack) -> Tensors:
    return keras_files.read_hdf5(path, stack)


def _unwrapped(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state dict inside a checkpoint.

    Raises:
        RefusedError: If it has moving averages beside the weights: either may be meant.
    """
    for _ in range(DEEPEST):
        keys = [key for key in WRAPPERS if isinstance(state.get(key), Mapping)]
        averages = [key for key in AVERAGES if isinstance(state.get(key), Mapping)]
        if keys and averages:
            raise RefusedError(
                f"`source` must be one network: pass what is under {keys[0]!r} or under "
                f"{averages[0]!r}. Received: both"
            )
        inside = [*keys, *averages]
        state = state[inside[0]] if inside else state
    return state


READERS: dict[str, Callable[[Path, int, ExitStack], Tensors]] = {
    ".safetensors": _read_safetensors,
    ".pth": _read_torch,
    ".th": _read_torch,
    ".pt": _read_torch,
    ".bin": _read_torch,
    ".h5": _read_hdf5,
    ".keras": keras_files.read_archive,
}
