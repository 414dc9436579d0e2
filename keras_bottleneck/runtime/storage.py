"""Text inside files: the zip tail of a .tflite file and the zip archive that a .keras file is."""

import io
import zipfile
from pathlib import Path

from keras_bottleneck.files import replace_file
from keras_bottleneck.runtime.problems import unreadable

MEMBER = "keras_bottleneck.json"
# What is written here is shorter by far, and a few bytes unpack to any number of them.
LONGEST = 2**24


def read_member(path: Path, name: str, kind: str) -> str | None:
    """The text of member `name` of the archive in `path`; None where there is no such member.

    Raises:
        ValueError: If the archive is damaged; the message calls the file a `kind`.
    """
    if not zipfile.is_zipfile(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            return _unpacked(archive, name).decode() if name in archive.namelist() else None
    except Exception as error:  # damaged archives make zipfile raise almost anything
        raise unreadable(path, kind, error) from None


def _unpacked(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as member:
        content = member.read(LONGEST + 1)
    if len(content) > LONGEST:
        raise ValueError(f"its member {name} is longer than {LONGEST:,} bytes")
    return content


def write_members(path: Path, members: dict[str, str | None]) -> None:
    """Puts `members` (name -> text) into the archive at the end of `path`, replacing old ones.

    A member whose text is None is removed.

    What comes before the archive and its other members keep their content. The same input gives the
    same bytes: members are stored uncompressed, with zip's first date.
    """
    content, kept = _split(path)
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a") as archive:
        for info, member in kept:
            if info.filename not in members:
                archive.writestr(info, member)
        for name, text in members.items():
            if text is not None:
                archive.writestr(zipfile.ZipInfo(name), text)
    replace_file(path, file.getvalue())


def _split(path: Path) -> tuple[bytes, list[tuple[zipfile.ZipInfo, bytes]]]:
    """What comes before the archive in `path`, and the archive's members."""
    content = path.read_bytes()
    if not zipfile.is_zipfile(path):
        return content, []
    with zipfile.ZipFile(path) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    start = min((info.header_offset for info, _ in members), default=len(content))
    return content[:start], members
