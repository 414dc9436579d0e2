"""What vouches for artifacts: manifest.json beside them, with their sha256 when they were verified.

`export_model` replaces it last. Between the moving of files and that, or after an export that was
killed there, it lists hashes that some files no longer have: those are refused until the next
export into the folder has put things right.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from keras_bottleneck.checks import reject

MANIFEST = "manifest.json"
FORMAT = 1
# A description of an artifact with ten thousand labels takes up less than 1 MiB.
LONGEST = 2**26


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


def read(directory: Path) -> dict[str, dict[str, Any]]:
    """The artifacts that `directory` lists: file name to entry; none without a manifest.

    Raises:
        ValueError: If the manifest is not one of this package.
    """
    path = directory / MANIFEST
    if not path.exists():
        return {}
    try:
        if path.stat().st_size > LONGEST:
            raise ValueError("too long")
        content = json.loads(path.read_text("utf-8"))
        if content["format"] != FORMAT:
            raise ValueError("another format")
        entries = {str(name): dict(entry) for name, entry in content["artifacts"].items()}
        if not all(_is_plain(name) for name in entries):
            raise ValueError("a name that leads elsewhere")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError):
        raise ValueError(
            "`directory` must hold no manifest.json but one that this version writes. Received: "
            f"directory={str(directory)!r}"
        ) from None
    return entries


def _is_plain(name: str) -> bool:
    """Whether `name` is that of something in the folder itself."""
    return name not in ("", ".", "..", MANIFEST) and not set(name) & set("/\\:\0")


def vouches_for(path: Path) -> bool:
    """Whether the manifest beside the artifact `path` lists it, with the hash that it has.

    No manifest, or one that is not of this package, vouches for nothing.

    Raises:
        ValueError: If it lists the artifact with another hash.
    """
    whole = path.absolute()
    try:
        entry = read(whole.parent).get(whole.name)
    except ValueError:
        return False
    if entry is None:
        return False
    if entry.get("size") == size_of(path) and entry.get("sha256") == sha256_of(path):
        return True
    raise reject(
        "path",
        str(path),
        f"the artifact that {MANIFEST} beside it lists, and has another sha256 (it was changed, or "
        "an export did not come to its end: export again, or move it to another folder)",
    )
