"""HDF5 files on which the HDF5 library crashes, or never comes to an end.

It trusts the file: of 30,000 that were damaged on purpose it hung on six, and crashed on one in
which a single bit of the type of a text had changed. So a process of its own, `main`, reads them
first. Only `weights` needs it, but the process has to start without Keras, as this room does.
"""

import json
import mmap
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from keras_bottleneck.runtime.probing import limit, on_trial
from keras_bottleneck.runtime.processes import JobError

HEAP = b"GCOL\x01\0\0\0"
HEAP_HEADER = struct.Struct("<8sQ")
# Index, references, four bytes without a meaning, size.
OBJECT_HEADER = struct.Struct("<HH4xQ")


def admit(path: Path) -> None:
    """Let through a file whose parts can be read, or be refused by the library.

    Raises:
        ValueError: If `check_heaps` refuses it, or the process that read it crashed or took more
            than 10 seconds of processor time; the message is a reason.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        check_heaps(content)
    try:
        on_trial(path, __name__)
    except JobError as error:
        raise ValueError(f"read {error}") from None


def check_heaps(content: bytes | mmap.mmap) -> None:
    """Raises ValueError if a heap of texts in `content` has free space without a size.

    The library steps over it by its size, again and again, and lets no other thread work meanwhile.
    """
    start = content.find(HEAP)
    while start >= 0:
        _check(content, start)
        start = content.find(HEAP, start + len(HEAP))


def _check(content: bytes | mmap.mmap, start: int) -> None:
    at = start + HEAP_HEADER.size
    if at > len(content):
        return
    end = min(start + HEAP_HEADER.unpack_from(content, start)[1], len(content))
    while at + OBJECT_HEADER.size <= end:
        index, _, size = OBJECT_HEADER.unpack_from(content, at)
        if index == 0 and size == 0:
            raise ValueError("it is damaged in a way on which HDF5 hangs")
        # Free space counts its own header; objects are followed by padding.
        at += size if index == 0 else OBJECT_HEADER.size + (size + 7) // 8 * 8


def main(job_path: str) -> None:
    """Read every part of the file at "path" of the JSON file at `job_path`; nothing is refused."""
    import h5py

    job = json.loads(Path(job_path).read_text())
    path = Path(job["path"])
    limit(path.stat().st_size)
    # What the library refuses is refused again, in words, by those who need it.
    with suppress(Exception), h5py.File(path, "r") as file:
        for part in _parts(file, set()):
            for name in part.attrs:
                with suppress(Exception):
                    part.attrs[name]
            with suppress(Exception):
                if isinstance(part, h5py.Dataset) and not part.external and not part.is_virtual:
                    part[()]
    Path(job["result"]).write_text(json.dumps({"error": None}))


def _parts(group: Any, seen: set[int]) -> Iterator[Any]:
    """`group` and all that it holds itself, each once."""
    import h5py

    yield group
    for key in group:
        with suppress(Exception):
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                continue
            child = group[key]
            address = h5py.h5o.get_info(child.id).addr
            if address not in seen:
                seen.add(address)
                if isinstance(child, h5py.Group):
                    yield from _parts(child, seen)
                else:
                    yield child
