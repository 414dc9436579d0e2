"""The checkpoints of a training as files: written whole, kept in pairs, read with their hash."""

import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_bottleneck import checks
from keras_bottleneck.files import replace_file

SUFFIX = ".safetensors"
# The entry of the file's metadata that holds the facts, and the one that holds the hash.
FACTS, HASH = "keras_bottleneck", "sha256"
# If the newest is damaged, there is one before it.
KEPT = 2


class Checkpoint(NamedTuple):
    """What one checkpoint holds.

    Attributes:
        arrays: By name.
        facts: Whatever JSON can hold.
    """

    arrays: dict[str, np.ndarray]
    facts: dict[str, Any]


class Checkpoints:
    """The folder in which a training keeps its state, so that it can be killed at any moment.

    A checkpoint is one safetensors file, whose metadata carries the SHA-256 of all that it holds.
    It is written beside, flushed to the disk and renamed: one rename is what makes it exist. The
    last two remain. Keras's `OrbaxCheckpoint` is not used, because it starts every resumed epoch
    at its first batch, and needs a library that the rest of the package does not.

    Args:
        folder: One that holds nothing else; it is made when the first checkpoint is written.
        every_s: Seconds between two checkpoints of an epoch, 0 for one after every step. Every
            epoch ends with one.

    Raises:
        ValueError: If `folder` cannot be written to, or `every_s` is no number of at least 0.

    Example:
        >>> checkpoints = Checkpoints("checkpoints", every_s=60)
        >>> recipe.fit(model, train, checkpoints=checkpoints)  # doctest: +SKIP
    """

    def __init__(self, folder: str | os.PathLike[str], every_s: float = 300.0) -> None:
        self.folder = checks.folder_to_write("checkpoints", folder)
        self.every_s = checks.number("every_s", every_s)

    def newest(self) -> Checkpoint | None:
        """The newest whole checkpoint; None where there is none at all.

        Warns of a damaged one that is passed over, and removes what a killed process left behind.

        Raises:
            ValueError: If there are checkpoints, and all of them are damaged.
        """
        for leftover in self.folder.glob(".*.part*"):
            leftover.unlink(missing_ok=True)
        paths = self._paths()
        for path in reversed(paths):
            try:
                return _read(path)
            except Exception as error:  # a damaged file makes its readers raise almost anything
                warnings.warn(
                    f"Checkpoint {str(path)!r} is damaged and left out: {checks.first_line(error)}",
                    stacklevel=2,
                )
        if paths:
            accepted = "a folder with a whole checkpoint; remove it to begin anew"
            raise checks.reject("checkpoints", str(self.folder), accepted)
        return None

    def write(self, step: int, arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
        """Add a checkpoint, and let go of all but the last two.

        Where that fails, such as on a full disk, a warning says so, and those before remain.

        Args:
            step: How many steps the training has done; newer checkpoints have more.
            arrays: By name.
            facts: Whatever JSON can hold.

        Returns:
            Whether it was written.
        """
        target = self.folder / f"step_{step:010d}{SUFFIX}"
        try:
            if not self.folder.is_dir():
                self.folder.mkdir(parents=True, exist_ok=True)
                _flush_folder(self.folder.parent)
            replace_file(target, _packed(arrays, facts))
            _flush_folder(self.folder)
        except OSError as error:
            warnings.warn(
                f"Checkpoint {str(target)!r} was not written ({error.strerror}): the training goes "
                "on, and could be taken up from the one before.",
                stacklevel=2,
            )
            return False
        for path in self._paths()[:-KEPT]:
            path.unlink(missing_ok=True)
        return True

    def clear(self) -> None:
        """Remove all checkpoints, and the folder where nothing else is in it."""
        for path in (*self.folder.glob(".*.part*"), *self._paths()):
            path.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _paths(self) -> list[Path]:
        """The checkpoints, the oldest first."""
        return sorted(self.folder.glob(f"step_*{SUFFIX}"))


def as_checkpoints(given: Any) -> Checkpoints | None:
    """`given`, or the checkpoints in the folder that it names; None for None.

    Raises:
        ValueError: If it is something else, or a folder that cannot be written to.
    """
    if given is None or isinstance(given, Checkpoints):
        return given
    return Checkpoints(given)


def _packed(arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> bytes:
    from safetensors.numpy import save

    held = {name: np.asarray(value) for name, value in arrays.items()}
    text = json.dumps(dict(facts))
    return save(held, {FACTS: text, HASH: _hash(held, text)})


def _read(path: Path) -> Checkpoint:
    """What is in a file.

    Raises:
        ValueError: If it is not what was written; readers of damaged files raise others, too.
    """
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        metadata = file.metadata() or {}
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    if _hash(arrays, metadata[FACTS]) != metadata[HASH]:
        raise ValueError("its content does not have the hash that was written with it")
    return Checkpoint(arrays, json.loads(metadata[FACTS]))


def _hash(arrays: Mapping[str, np.ndarray], text: str) -> str:
    found = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        value = arrays[name]
        found.update(f"{name} {value.dtype} {value.shape} ".encode())
        found.update(np.ascontiguousarray(value).tobytes())
    return found.hexdigest()


def _flush_folder(path: Path) -> None:
    """Wait until the disk has the names in a folder; Windows does so on its own."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
