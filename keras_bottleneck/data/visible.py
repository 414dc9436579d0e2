"""The folders and image files that count: those that are not hidden, through links, no circles."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_bottleneck.checks import reject
from keras_bottleneck.image_files import is_image

# Folders that archives and file servers leave behind.
LEFT_BEHIND = ("__MACOSX", "@eaDir")


def checked_folder(path: Any, name: str = "path") -> Path:
    """`path` as the Path of an existing folder; `name` is the argument that it was given as."""
    accepted = "an existing folder of images"
    if not isinstance(path, (str, os.PathLike)) or not Path(path).exists():
        raise reject(name, path, accepted)
    if not Path(path).is_dir():
        raise reject(name, str(path), f"{accepted}, not a file")
    return Path(path)


def folders_in(root: Path) -> tuple[str, ...]:
    """The names of the visible folders in `root`, sorted, but for links that lead in circles."""
    here = (os.path.realpath(root),)
    folders = (item for item in root.iterdir() if item.is_dir() and not _is_hidden(item.name))
    return tuple(sorted(item.name for item in folders if not _leads_back(item, here)))


def images_in(folder: Path) -> list[Path]:
    """All image files that are visible in a folder and below, sorted.

    Text, thumbnail databases and other files that are no images, by name and content, are left
    out; a file with the name of an image counts, whatever is in it.

    Raises:
        ValueError: If something in it cannot be listed.
    """
    return sorted(file for file in map(Path, _files(folder, ())) if is_image(file))


def _files(folder: str | Path, above: tuple[str, ...]) -> Iterator[str]:
    """The files in a folder and below, reached through the folders with the real paths `above`."""
    here = (*above, os.path.realpath(folder))
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if _is_hidden(entry.name):
                    continue
                if entry.is_file():
                    yield entry.path
                elif entry.is_dir() and not _leads_back(entry, here):
                    yield from _files(entry.path, here)
    except OSError as error:
        raise ValueError(
            "`path` must be a folder in which everything can be listed. "
            f"Received: {str(folder)!r} ({error.strerror})"
        ) from None


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in LEFT_BEHIND


def _leads_back(entry: "os.DirEntry[str] | Path", here: tuple[str, ...]) -> bool:
    """Whether a folder is a link to one of the folders that lead to it, or that these lie in."""
    if not entry.is_symlink():
        return False
    target = os.path.realpath(entry)
    return any(Path(place).is_relative_to(target) for place in here)
