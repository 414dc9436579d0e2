"""The kinds of artifact that can be run: one row each."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from keras_bottleneck.checks import meant, reject
from keras_bottleneck.runtime import keras_file, onnx_runtime, saved_model, tflite
from keras_bottleneck.runtime.keras_file import KerasFile
from keras_bottleneck.runtime.onnx_runtime import ONNX
from keras_bottleneck.runtime.ports import Feed, Port
from keras_bottleneck.runtime.saved_model import SavedModel
from keras_bottleneck.runtime.tflite import TFLite


class Runtime(Protocol):
    """An opened artifact with its inputs and outputs."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def run(self, feed: Feed) -> Feed:
        """Outputs by name, float32 (N, ...) in and out; N is free whatever the file says."""


@dataclass(frozen=True)
class Kind:
    """How artifacts of one kind are called, opened, and given their metadata.

    `module` is what the runtime is imported from; `native` are those whose runtime is tried in a
    process of its own first.
    """

    name: str
    module: str
    open: Callable[[Path, int | None], Runtime]
    read_metadata: Callable[[Path], str | None]
    write_metadata: Callable[[Path, str, tuple[str, ...] | None], None]
    native: bool = False

    @property
    def is_installed(self) -> bool:
        """Whether its runtime can be looked for with success; nothing is imported."""
        return importlib.util.find_spec(self.module) is not None


FILES = {
    ".keras": Kind(
        keras_file.KIND,
        "keras",
        KerasFile,
        keras_file.read_metadata,
        keras_file.write_metadata,
    ),
    ".onnx": Kind(
        onnx_runtime.KIND,
        "onnxruntime",
        ONNX,
        onnx_runtime.read_metadata,
        onnx_runtime.write_metadata,
        native=True,
    ),
    ".tflite": Kind(
        tflite.KIND,
        "ai_edge_litert",
        TFLite,
        tflite.read_metadata,
        tflite.write_metadata,
        native=True,
    ),
}
FOLDERS = {
    "saved_model.pb": Kind(
        saved_model.KIND,
        "tensorflow",
        SavedModel,
        saved_model.read_metadata,
        saved_model.write_metadata,
    ),
}
ACCEPTED = f"a {', '.join(FILES)} file or a folder with {', '.join(FOLDERS)}"


def find(path: str | Path) -> tuple[Path, Kind]:
    """`path` as a Path, and its kind: told by the suffix of a file, the content of a folder.

    Raises:
        ValueError: If `path` does not exist or is of no known kind.
    """
    if not isinstance(path, (str, Path)):
        raise reject("path", path, ACCEPTED)
    found = Path(path)
    if found.is_dir():
        for member, kind in FOLDERS.items():
            if (found / member).is_file():
                return found, kind
        raise reject("path", str(path), ACCEPTED)
    suffix = found.suffix.lower()
    if suffix not in FILES:
        raise reject("path", str(path), ACCEPTED + meant(suffix, FILES))
    if not found.is_file():
        raise reject("path", str(path), f"an existing {FILES[suffix].name}")
    return found, FILES[suffix]
