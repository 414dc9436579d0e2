"""From a scratch folder to the target: files moved in one by one, manifest.json last.

`manifest.json` is the commit point: it is replaced in one step, and it alone says which files
are whole and verified, with their sha256. A reader that checks it never takes a half-written or
left-over file for an artifact.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from keras_bottleneck.export.errors import ExportError

MANIFEST = "manifest.json"
FORMAT = 1


@contextmanager
def scratch_folder(directory: Path) -> Iterator[Path]:
    """A folder on the file system of `directory`; gone on leaving.

    It lies inside `directory` where that exists, because what stands beside a mount point or a
    link is on another file system; else in the nearest folder above that exists.

    Raises:
        ValueError: If the folder cannot be made.
    """
    above = (directory, *directory.absolute().parents)
    try:
        base = next(folder for folder in above if folder.is_dir())
        scratch = Path(tempfile.mkdtemp(prefix=".export-", dir=base))
    except OSError as error:
        raise ValueError(
            f"`directory` must be a path that can be written to ({error.strerror}). "
            f"Received: directory={str(directory)!r}"
        ) from None
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in _files(path))


def sha256_of(path: Path) -> str:
    """sha256 of a file; of a folder, over the names and hashes of its files in sorted order."""
    if path.is_file():
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    digest = hashlib.sha256()
    for file in _files(path):
        digest.update(f"{file.relative_to(path).as_posix()}\0{sha256_of(file)}\n".encode())
    return digest.hexdigest()


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())


def commit(scratch: Path, directory: Path, entries: dict[str, dict[str, Any]]) -> None:
    """Move the artifacts named in `entries` from `scratch` to `directory` and list them.

    Artifacts that the directory already listed under other names stay listed. If a move fails,
    those before it are taken back.

    Args:
        scratch: Folder that holds every artifact.
        directory: The target; made where it does not exist.
        entries: File name to what the manifest says of it.

    Raises:
        ExportError: If the files cannot be moved in; the directory is as it was.
    """
    listed = {
        name: entry
        for name, entry in read(directory).items()
        if name not in entries and (directory / name).exists()
    }
    text = json.dumps({"format": FORMAT, "artifacts": listed | entries}, indent=1, sort_keys=True)
    (scratch / MANIFEST).write_text(text + "\n")
    for name in entries:
        if (directory / name).exists() and (directory / name).is_dir() != (scratch / name).is_dir():
            kind = "folder" if (directory / name).is_dir() else "file"
            raise ExportError(f"{directory} holds a {kind} called {name}, which is in the way.")
    (scratch / "old").mkdir()
    with ExitStack() as undo:
        try:
            _make_folder(directory, undo)
            for name in entries:
                _move_in(scratch, directory, name, undo)
            os.replace(scratch / MANIFEST, directory / MANIFEST)
        except OSError as error:
            raise ExportError(
                f"The files cannot be moved into {directory} ({error.strerror}); it is as it was."
            ) from None
        undo.pop_all()


def _make_folder(directory: Path, undo: ExitStack) -> None:
    missing = [one for one in (directory, *directory.parents) if not one.exists()]
    for folder in reversed(missing):
        folder.mkdir()
        undo.callback(folder.rmdir)


def _move_in(scratch: Path, directory: Path, name: str, undo: ExitStack) -> None:
    target, old = directory / name, scratch / "old" / name
    # A folder cannot be replaced in one step: what stands there leaves first.
    if target.exists():
        os.replace(target, old)
        undo.callback(os.replace, old, target)
    os.replace(scratch / name, target)
    undo.callback(os.replace, target, scratch / name)


def read(directory: Path) -> dict[str, dict[str, Any]]:
    """The artifacts that `directory` lists: file name to entry; none without a manifest.

    Raises:
        ValueError: If the manifest is not one of this package.
    """
    path = directory / MANIFEST
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text())
        if content["format"] != FORMAT:
            raise ValueError("another format")
        return {str(name): dict(entry) for name, entry in content["artifacts"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        raise ValueError(
            "`directory` must hold no manifest.json but one that this version writes. Received: "
            f"directory={str(directory)!r}"
        ) from None
