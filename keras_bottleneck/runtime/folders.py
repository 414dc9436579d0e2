"""Which artifact of a folder is opened: the best of an export that runs here, the best of a run."""

from pathlib import Path
from typing import Any

from keras_bottleneck.checks import reject
from keras_bottleneck.runtime import kinds, manifest

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
BEST, EXPORTED = "best.keras", "exported"


def artifact(path: Any) -> Any:
    """`path` itself, or the artifact that represents the folder `path` of an export or a run.

    Raises:
        ValueError: If it is a folder of another kind.
    """
    if not isinstance(path, (str, Path)) or not Path(path).is_dir():
        return path
    folder = Path(path)
    if any((folder / member).is_file() for member in kinds.FOLDERS):
        return folder
    best = [folder / BEST] if (folder / BEST).is_file() else []
    candidates = [*best, *_listed(folder), *_listed(folder / EXPORTED)]
    if not candidates:
        accepted = f"{kinds.ACCEPTED}, or the folder of an export or a run with such files"
        raise reject("path", str(path), accepted)
    runnable = [one for one in candidates if kinds.find(one)[1].is_installed]
    # Where no runtime is installed, the error of the first names the package to install.
    return (runnable or candidates)[0]


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
