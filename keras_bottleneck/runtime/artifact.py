"""What a path names: a file, the best network of a run, the best file of an export.

Nothing here needs Keras.
"""

import json
import os
from pathlib import Path
from typing import Any

from keras_bottleneck.checks import reject
from keras_bottleneck.runtime import kinds, manifest
from keras_bottleneck.runtime.kinds import Kind

# The most exact first; of equally exact ones, what opens fastest.
FORMATS = (
    "tflite",
    "onnx",
    "saved_model",
    "tflite_float16",
    "tflite_int16",
    "tflite_dynamic",
    "tflite_int8",
    "onnx_int8",
)
# In the folder of a run.
CONFIG, BEST, EXPORTED = "config.json", "best.keras", "exported"
# What writes such folders.
VERBS = ("train", "finetune")


def is_run(path: Any) -> bool:
    """Whether `path` is a folder that `train` or `finetune` has written."""
    if not isinstance(path, (str, os.PathLike)):
        return False
    try:
        config = json.loads((Path(path) / CONFIG).read_text())
    except (OSError, ValueError):
        return False
    # Others call a file so, too.
    return isinstance(config, dict) and config.get("verb") in VERBS


def run_of(path: Path) -> Path | None:
    """The folder of the run that `path` is or is part of, as its file or its exported file."""
    return next((folder for folder in (path, *path.parents[:2]) if is_run(folder)), None)


def network(path: Any, name: str = "path") -> Any:
    """`path` itself, or the best network of the run whose folder it is.

    Args:
        path: Anything.
        name: The argument that it was given as, for errors.

    Raises:
        ValueError: If it is the folder of a run that has none yet.
    """
    if not isinstance(path, (str, os.PathLike)):
        return path
    best = Path(path) / BEST
    if not best.is_file() and is_run(path):
        accepted = f"a run with a {BEST} (`train --resume` goes on with one that was stopped)"
        raise reject(name, str(path), accepted)
    return best if best.is_file() else path


def find(path: Any) -> tuple[Path, Kind]:
    """The artifact that `path` is, or that represents the folder of an export or a run.

    Raises:
        ValueError: If there is none.
    """
    if not isinstance(path, (str, Path)) or not Path(path).is_dir():
        return kinds.find(path)
    folder = Path(path)
    if any((folder / member).is_file() for member in kinds.FOLDERS):
        return kinds.find(folder)
    best = [folder / BEST] if (folder / BEST).is_file() else []
    candidates = [*best, *_listed(folder), *_listed(folder / EXPORTED)]
    if not candidates:
        accepted = f"{kinds.ACCEPTED}, or the folder of an export or a run with such files"
        raise reject("path", str(path), accepted)
    found = [kinds.find(one) for one in candidates]
    # Where no runtime is installed, the error of the first names the package to install.
    return next((one for one in found if one[1].is_installed), found[0])


def native_files(path: Path) -> list[Path]:
    """The .tflite or .onnx file `path`, or those in the folder of an export; none elsewhere.

    Of a folder, those without a runtime here are left out if others have theirs.
    """
    suffixes = [suffix for suffix, kind in kinds.FILES.items() if kind.native]
    if not path.is_dir():
        return [path] if path.suffix.lower() in suffixes else []
    there = (path / manifest.MANIFEST).is_file()
    found = sorted(one for one in path.iterdir() if one.suffix in suffixes) if there else []
    return [one for one in found if kinds.FILES[one.suffix].is_installed] or found


def _listed(directory: Path) -> list[Path]:
    """The artifacts in the manifest of `directory`, in the order of `FORMATS`, others last."""
    try:
        entries = manifest.read(directory)
    except ValueError:  # others call a file so, too
        return []

    def rank(name: str) -> tuple[int, str]:
        form = entries[name].get("format")
        return FORMATS.index(form) if form in FORMATS else len(FORMATS), name

    return [directory / name for name in sorted(entries, key=rank) if _is_there(directory / name)]


def _is_there(path: Path) -> bool:
    try:
        kinds.find(path)
    except ValueError:
        return False
    return True
