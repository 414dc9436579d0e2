"""Damaged files out of whole ones: bytes that flipped, went missing or came from elsewhere, numbers
far too large, and the same inside archives and JSON, whose checksums and quotes are right again.
"""

import copy
import io
import json
import struct
import zipfile

GIANT = (
    0,
    1,
    127,
    128,
    255,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**40,
    2**63,
    2**64 - 1,
)
ODD = (None, True, -1, 0, 2**31, 2**63, 10**400, 1e308, float("nan"), float("inf"), "", "../../x")
ODD += ([], {}, [[]], {"": {}}, "\0", "x" * 100_000, [1] * 1000, "\ud800", -(2**63), 0.5, "1e999")
DEEP = 100_000
NAMES = ("../../climbed", "/tmp/climbed", "..\\climbed", "C:climbed", "", "a" * 5000, "\0", "CON")
# Where headers and tables of contents stand.
HEAD, TAIL = 2048, 512


def damaged(rng, seeds):
    """One of `seeds`, changed once or a few times."""
    content = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 1, 1, 2, 4, 16))):
        rng.choice(CHANGES)(rng, content, seeds)
    return bytes(content)


def _place(rng, content):
    where = rng.random()
    if where < 0.4:
        return rng.randrange(min(len(content), HEAD) + 1)
    if where < 0.6:
        return max(0, len(content) - rng.randrange(TAIL))
    return rng.randrange(len(content) + 1)


def _flip(rng, content, seeds):
    if content:
        content[_place(rng, content) % len(content)] ^= 1 << rng.randrange(8)


def _set(rng, content, seeds):
    if content:
        content[_place(rng, content) % len(content)] = rng.choice((0, 1, 127, 128, 255))


def _giant(rng, content, seeds):
    size, code = rng.choice(((1, "B"), (2, "H"), (4, "I"), (8, "Q")))
    at = _place(rng, content) // size * size
    number = rng.choice(GIANT) & (256**size - 1)
    content[at : at + size] = struct.pack(rng.choice("<>") + code, number)


def _digits(rng, content, seeds):
    at = next((i for i in range(_place(rng, content), len(content)) if 48 <= content[i] < 58), None)
    if at is not None:
        content[at : at + 1] = str(rng.choice(GIANT)).encode()


def _cut(rng, content, seeds):
    del content[_place(rng, content) :]


def _drop(rng, content, seeds):
    at = _place(rng, content)
    del content[at : at + rng.choice((1, 4, 64, 1024))]


def _noise(rng, content, seeds):
    at = _place(rng, content)
    content[at:at] = rng.randbytes(rng.choice((1, 4, 64)))


def _splice(rng, content, seeds):
    other = rng.choice(seeds)
    size = rng.choice((4, 16, 256, 4096))
    start, at = rng.randrange(len(other) + 1), _place(rng, content)
    # In the place of as many bytes, or between them.
    content[at : at + rng.choice((0, size))] = other[start : start + size]


CHANGES = (_flip, _flip, _set, _giant, _giant, _digits, _cut, _drop, _noise, _splice)


def damaged_json(rng, seeds):
    """JSON in which a value is another one, or damaged as any file is."""
    text = rng.choice(seeds)
    if rng.random() < 0.4:
        return damaged(rng, seeds)
    if rng.random() < 0.02:
        return rng.choice((b"[", b'{"a":')) * DEEP
    content = json.loads(text)
    for _ in range(rng.choice((1, 1, 2, 5))):
        holder = content
        while isinstance(holder, (dict, list)) and holder:
            key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
            inside = holder[key]
            if not isinstance(inside, (dict, list)) or not inside or rng.random() < 0.2:
                if isinstance(holder, dict) and rng.random() < 0.2:
                    holder[rng.choice(("x", *NAMES))] = holder.pop(key)
                else:
                    holder[key] = copy.deepcopy(rng.choice(ODD))
                break
            holder = inside
    return json.dumps(content).encode()


def damaged_archive(rng, seeds):
    """A zip archive with one member damaged or renamed, whole as an archive; or damaged itself."""
    if rng.random() < 0.3:
        return damaged(rng, seeds)
    content = rng.choice(seeds)
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        members = {info.filename: source.read(info) for info in source.infolist()}
        start = min(info.header_offset for info in source.infolist())
    name = rng.choice(list(members))
    if rng.random() < 0.1:
        members[rng.choice(NAMES)] = members.pop(name)
    else:
        change = damaged_json if name.endswith(".json") else damaged
        members[name] = change(rng, [members[name]])
    target = io.BytesIO(content[:start])
    target.seek(0, io.SEEK_END)
    method = zipfile.ZIP_DEFLATED if rng.random() < 0.1 else zipfile.ZIP_STORED
    with zipfile.ZipFile(target, "a", method) as archive:
        for member, data in members.items():
            archive.writestr(zipfile.ZipInfo(member.replace("\0", "0") or "0"), data, method)
    return target.getvalue()


def damaged_safetensors(rng, seeds):
    """A safetensors file with a damaged header of the right length; or damaged as any file is."""
    if rng.random() < 0.4:
        return damaged(rng, seeds)
    content = rng.choice(seeds)
    (length,) = struct.unpack("<Q", content[:8])
    header = damaged_json(rng, [content[8 : 8 + length]])
    return struct.pack("<Q", len(header)) + header + content[8 + length :]
