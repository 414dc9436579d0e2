"""From a scratch folder to the target: files moved in one by one, manifest.json last.

`manifest.json` is the commit point: it is replaced in one step, and it alone says which files
are whole and verified, with their sha256. A reader that checks it never takes a half-written or
left-over file for an artifact.

One export at a time works in a folder. What one that was killed has left there, the next one takes
away; and where all was verified and some of it moved, it moves the rest first.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from keras_bottleneck.checks import first_line
from keras_bottleneck.export.errors import ExportError
from keras_bottleneck.files import alone, flush
from keras_bottleneck.runtime.manifest import FORMAT, MANIFEST, read

PREFIX = ".export-"
LOCK = ".export.lock"


@contextmanager
def scratch_folder(directory: Path) -> Iterator[Path]:
    """A folder inside `directory`, which no other export works in meanwhile; gone on leaving.

    It lies inside because what stands beside a mount point or a link is on another file system.
    `directory` is made where it does not exist, and is gone too if nothing was put into it.

    Raises:
        ValueError: If the folder cannot be made.
        ExportError: If the disk is full, or what an export that was killed had begun to move cannot
            be moved.
    """
    with ExitStack() as stack:
        try:
            _make_folders(directory, stack)
            # Waits as long as another export is at work.
            stack.enter_context(alone(directory / LOCK))
            _tidy_up(directory)
            scratch = Path(tempfile.mkdtemp(prefix=PREFIX, dir=directory))
        except OSError as error:
            raise ValueError(
                f"`directory` must be a path that can be written to ({error.strerror}). "
                f"Received: directory={str(directory)!r}"
            ) from None
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        try:
            yield scratch
        except OSError as error:
            raise ExportError(
                f"Files cannot be written into {directory} ({error.strerror or first_line(error)});"
                " it is as it was."
            ) from None


def _make_folders(directory: Path, stack: ExitStack) -> None:
    missing = [
        folder for folder in (directory, *directory.absolute().parents) if not folder.exists()
    ]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        stack.callback(_remove_if_empty, folder)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _tidy_up(directory: Path) -> None:
    """Take away what killed exports have left; who calls it is alone, so no live one is at work."""
    for scratch in directory.glob(f"{PREFIX}*"):
        try:
            begun = read(scratch)
        except ValueError:  # it was killed while it wrote the manifest: nothing had been moved
            begun = {}
        if begun:
            _move(scratch, directory, [name for name in begun if (scratch / name).exists()])
        shutil.rmtree(scratch)


def commit(scratch: Path, directory: Path, entries: dict[str, dict[str, Any]]) -> None:
    """Move the artifacts named in `entries` from `scratch` to `directory` and list them.

    Artifacts that the directory already listed under other names stay listed. If a move fails,
    those before it are taken back.

    Args:
        scratch: Folder that holds every artifact.
        directory: The target.
        entries: File name to what the manifest says of it.

    Raises:
        ExportError: If the files cannot be moved in; the directory is as it was.
    """
    listed = {
        name: entry
        for name, entry in read(directory).items()
        if name not in entries and (directory / name).exists()
    }
    for name in entries:
        if (directory / name).exists() and (directory / name).is_dir() != (scratch / name).is_dir():
            kind = "folder" if (directory / name).is_dir() else "file"
            raise ExportError(f"{directory} holds a {kind} called {name}, which is in the way.")
    text = json.dumps({"format": FORMAT, "artifacts": listed | entries}, indent=1, sort_keys=True)
    (scratch / "old").mkdir()
    # From here on the next export would bring this one to its end.
    (scratch / MANIFEST).write_bytes(f"{text}\n".encode())
    flush(scratch / MANIFEST)
    _move(scratch, directory, list(entries))


def _move(scratch: Path, directory: Path, names: list[str]) -> None:
    with ExitStack() as undo:
        undo.callback((scratch / MANIFEST).unlink, missing_ok=True)
        try:
            for name in names:
                _move_in(scratch, directory, name, undo)
            os.replace(scratch / MANIFEST, directory / MANIFEST)
        except OSError as error:
            raise ExportError(
                f"The files cannot be moved into {directory} ({error.strerror}); it is as it was."
            ) from None
        undo.pop_all()


def _move_in(scratch: Path, directory: Path, name: str, undo: ExitStack) -> None:
    target, old = directory / name, scratch / "old" / name
    # A folder cannot be replaced in one step: what stands there leaves first.
    if target.exists():
        os.replace(target, old)
        undo.callback(os.replace, old, target)
    os.replace(scratch / name, target)
    undo.callback(os.replace, target, scratch / name)
