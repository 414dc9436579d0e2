"""HDF5 files on which the HDF5 library would never come to an end."""

import mmap
import struct

HEAP = b"GCOL\x01\0\0\0"
HEAP_HEADER = struct.Struct("<8sQ")
# Index, references, four bytes without a meaning, size.
OBJECT_HEADER = struct.Struct("<HH4xQ")


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
