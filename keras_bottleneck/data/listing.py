"""Which classes and which readable images a folder holds."""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_bottleneck.checks import reject
from keras_bottleneck.data.decoding import Scan, scan

SHOWN = 3


def checked_folder(path: Any) -> Path:
    """`path` as the Path of an existing folder."""
    accepted = "an existing folder with one sub-folder of images per class"
    if not isinstance(path, (str, os.PathLike)) or not Path(path).exists():
        raise reject("path", path, accepted)
    if not Path(path).is_dir():
        raise reject("path", str(path), f"{accepted}, not a file")
    return Path(path)


def class_names(root: Path) -> tuple[str, ...]:
    """The names of the visible sub-folders, sorted; at least two."""
    found = (item for item in root.iterdir() if item.is_dir() and not item.name.startswith("."))
    names = tuple(sorted(item.name for item in found))
    if len(names) < 2:
        raise ValueError(
            "`path` must be a folder with a sub-folder for each of at least two classes. "
            f"Received: path={str(root)!r} with {len(names)} sub-folders {list(names)}"
        )
    return names


def class_files(root: Path, name: str) -> list[Path]:
    """All visible files of a class at any depth, sorted; at least one."""
    files = sorted(Path(file) for file in _visible(root / name))
    if not files:
        raise ValueError(
            "`path` must hold at least one image per class. "
            f"Received: path={str(root)!r} with the empty class {name!r}"
        )
    return files


def _visible(folder: str | Path) -> Iterator[str]:
    """The files in a folder and below, not through links to folders."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    yield from _visible(entry.path)
                elif entry.is_file():
                    yield entry.path
    except OSError as error:
        raise ValueError(
            "`path` must be a folder in which everything can be listed. "
            f"Received: {str(folder)!r} ({error.strerror})"
        ) from None


def readable_files(
    root: Path, files: dict[str, list[Path]], on_corrupt: str
) -> tuple[dict[Path, tuple[int, int]], tuple[Path, ...]]:
    """(height, width) of every file that can be decoded, and the files that cannot."""

    def check(file: Path, result: Scan) -> None:
        if result.size is None and on_corrupt == "error":
            raise ValueError(
                "`path` must hold readable JPEG, PNG, BMP or GIF files only, with "
                f"on_corrupt='error'. Received: {str(file)!r} ({result.problem})"
            )

    everything = [file for group in files.values() for file in group]
    results = dict(zip(everything, scan(everything, check), strict=True))
    sizes = {file: result.size for file, result in results.items() if result.size is not None}
    for name, group in files.items():
        if not any(file in sizes for file in group):
            raise ValueError(
                "`path` must hold at least one readable image per class. Received: class "
                f"{name!r} with {len(group)} unreadable files, the first {str(group[0])!r} "
                f"({results[group[0]].problem})"
            )
    skipped = tuple(file for file in everything if file not in sizes)
    if skipped:
        _warn_of(skipped, len(everything), root)
    return sizes, skipped


def _warn_of(skipped: tuple[Path, ...], total: int, root: Path) -> None:
    shown = ", ".join(str(file.relative_to(root)) for file in skipped[:SHOWN])
    more = f" and {len(skipped) - SHOWN} more" if len(skipped) > SHOWN else ""
    warnings.warn(
        f"{len(skipped)} of {total} files in {root} are no readable JPEG, PNG, BMP or GIF images "
        f"and are left out: {shown}{more}",
        stacklevel=4,  # whoever called `image_folder`
    )
