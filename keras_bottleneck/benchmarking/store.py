"""The results of a benchmark, each stored under a hash of everything it depends on."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_bottleneck.files import replace_file
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.runtime import manifest
from keras_bottleneck.tasks import CLASSIFICATION

Array = np.ndarray[Any, Any]


class Store:
    """JSON files in one folder, one slot for each artifact and each measurement.

    A slot holds the latest result only, so that the folder does not grow with every training.

    Args:
        folder: Created if it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, slot: str, key: str) -> dict[str, Any] | None:
        """The result in `slot` if it was stored under this `key`; None otherwise."""
        try:
            content = json.loads((self.folder / slot).read_text())
            return dict(content["found"]) if content["key"] == key else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def keep(self, slot: str, key: str, found: dict[str, Any]) -> None:
        """Put `found` into `slot`, in one step."""
        path = self.folder / slot
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, json.dumps({"key": key, "found": found}, indent=1).encode())


def is_whole(folder: Path, found: dict[str, Any]) -> bool:
    """Whether the artifact "file" in `folder` still has the "sha256" that it was kept with."""
    path = folder / str(found.get("file"))
    return path.exists() and manifest.sha256_of(path) == found.get("sha256")


def digest(*parts: Any) -> str:
    """A hash of arrays and of values that JSON can hold."""
    hasher = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            hasher.update(f"{part.dtype} {part.shape}\0".encode())
            hasher.update(np.ascontiguousarray(part).data)
        else:
            hasher.update(json.dumps(part, sort_keys=True, default=str).encode() + b"\0")
    return hasher.hexdigest()


def fingerprint(
    model: keras.Model,
    labels: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    task: str = CLASSIFICATION,
) -> str:
    """A hash of a model's structure and weights, labels, preprocessing and task.

    A hash of its file would not do: the file also holds the time at which it was saved.
    """
    structure = json.loads(model.to_json())
    structure.pop("compile_config", None)
    images = preprocessing and preprocessing.to_dict()
    return digest(structure, labels, images, task, *model.get_weights())
