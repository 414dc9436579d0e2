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
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
FORMAT = 1


@contextmanager
def scratch_folder(directory: Path) -> Iterator[Path]:
    """A folder beside `directory`, on the same file system; gone on leaving.

    Raises:
        ValueError: If the folder cannot be made.
    """
    whole = directory.absolute()
    try:
        whole.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{whole.name}-", dir=whole.parent))
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

    Artifacts that the directory already listed under other names stay listed.

    Args:
        scratch: Folder that holds every artifact.
        directory: The target; made where it does not exist.
        entries: File name to what the manifest says of it.
    """
    directory.mkdir(exist_ok=True)
    listed = {
        name: entry
        for name, entry in read(directory).items()
        if name not in entries and (directory / name).exists()
    }
    for name in entries:
        target = directory / name
        if target.is_dir():
            # A folder cannot be replaced in one step: the old one leaves first.
            os.replace(target, scratch / f"{name}.old")
        os.replace(scratch / name, target)
    text = json.dumps({"format": FORMAT, "artifacts": listed | entries}, indent=1, sort_keys=True)
    new = scratch / MANIFEST
    new.write_text(text + "\n")
    os.replace(new, directory / MANIFEST)


def read(directory: Path) -> dict[str, dict[str, Any]]:
    """The artifacts that `directory` lists: file name to entry; none without a manifest.

    Raises:
        ValueError: If the manifest is not one of this package.
    """
    path = directory / MANIFEST
    if not path.exists():
        return {}
    try:
        artifacts = json.loads(path.read_text())["artifacts"]
        return {str(name): dict(entry) for name, entry in artifacts.items()}
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        raise ValueError(
            f"`directory` must hold a manifest.json of keras_bottleneck or none. Received: "
            f"directory={str(directory)!r}"
        ) from None
