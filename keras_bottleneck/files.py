"""Files that are whole at any time, and folders that one process at a time works in."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

POLL_S = 0.1

if sys.platform == "win32":
    import msvcrt

    def _take(file: IO[bytes]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _take(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def replace_file(path: Path, content: bytes) -> None:
    """Makes `content` the content of `path` in one step, so that nobody reads half of it."""
    with replacing(path) as scratch:
        scratch.write_bytes(content)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write beside `path`, which takes its place when the block has ended well.

    It has the suffix of `path`, by which some writers choose a format. Its content is on the disk
    before it takes the place of `path`.
    """
    scratch = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        yield scratch
        flush(scratch)
        os.replace(scratch, path)
    finally:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Returns when the content of a file would outlive a power cut."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Holds the lock file `path`; waits as long as another process or thread holds it.

    The system frees the lock of a process that dies: a lock file that is left over locks nobody
    out.

    Raises:
        OSError: If the file cannot be made, or its file system has no locks.
    """
    file = _locked(path)
    try:
        yield
    finally:
        # Before the lock is given up, so that nobody else's file is removed. Windows keeps a file
        # that others wait for, and the last of them removes it.
        with suppress(OSError):
            path.unlink()
        file.close()


def _locked(path: Path) -> IO[bytes]:
    while True:
        file = path.open("ab")
        try:
            _take(file)
            # Its holder removed the file that this one waited for: the lock is worth nothing.
            if _is_at(path, file):
                return file
        except (BlockingIOError, PermissionError):
            time.sleep(POLL_S)
        except OSError:
            file.close()
            raise
        file.close()


def _is_at(path: Path, file: IO[bytes]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
