"""What kind of image a file holds, and which way up it is, for training and devices alike.

Cameras store photographs as their sensor was held, with an EXIF tag that says how to turn them.
Needs numpy; Pillow reads the tag.
"""

import io
import mmap
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ORIENTATION = 0x0112
# What Pillow finds an orientation in: EXIF and XMP. A file without any of these words has none.
MARKERS = (b"Exif", b"eXIf", b"EXIF", b"exif", b"adobe.com/xap", b"adobe.xmp", b"tiff:Orientation")
# So many bytes tell the kind of an image.
HEAD = 16


class Kind(NamedTuple):
    """A kind of image files.

    Attributes:
        name: Its own.
        suffixes: Of file names, in lower case.
        magics: What such files begin with: (offset, bytes), all of which must be there.
        advice: What to do with a file that training does not read; empty where it does.
    """

    name: str
    suffixes: tuple[str, ...]
    magics: tuple[tuple[int, bytes | tuple[bytes, ...]], ...]
    advice: str = ""


KINDS = (
    Kind("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), ((0, b"\xff\xd8"),)),
    Kind("PNG", (".png", ".apng"), ((0, b"\x89PNG"),)),
    Kind("BMP", (".bmp", ".dib"), ((0, b"BM"),)),
    Kind("GIF", (".gif",), ((0, b"GIF8"),)),
    Kind("WebP", (".webp",), ((0, b"RIFF"), (8, b"WEBP"))),
    Kind(
        "HEIC",
        (".heic", ".heif", ".hif"),
        ((4, b"ftyp"), (8, (b"heic", b"heix", b"hevc", b"mif1", b"msf1"))),
        "a HEIC photograph: convert it with `heif-convert photo.heic photo.jpg` or `magick "
        "photo.heic photo.jpg`",
    ),
    Kind(
        "AVIF",
        (".avif",),
        ((4, b"ftyp"), (8, (b"avif", b"avis"))),
        "an AVIF image: convert it with `magick image.avif image.png`",
    ),
    Kind(
        "TIFF",
        (".tif", ".tiff"),
        ((0, (b"II*\0", b"MM\0*")),),
        "a TIFF image: convert it with `magick image.tif image.png`",
    ),
)
READABLE = " or".join(", ".join(kind.name for kind in KINDS if not kind.advice).rsplit(",", 1))


def kind_of(head: bytes) -> Kind | None:
    """The kind of an image file that begins with `head`, `HEAD` bytes or more; None for no image.

    Example:
        >>> kind_of(b"GIF89a, and so on").name
        'GIF'
    """
    for kind in KINDS:
        if all(head[at:].startswith(magic) for at, magic in kind.magics):
            return kind
    return None


def is_image(path: Path) -> bool:
    """Whether a file is meant to be an image: by its name, or else by its first bytes."""
    if any(path.suffix.lower() in kind.suffixes for kind in KINDS):
        return True
    try:
        with path.open("rb") as file:
            return kind_of(file.read(HEAD)) is not None
    except OSError:
        return False


def advice(head: bytes) -> str:
    """What to do with a file that begins with `head`, where its kind is not read; else empty."""
    kind = kind_of(head)
    return kind.advice if kind else ""


class Turn(NamedTuple):
    """What brings stored pixels upright, in this order.

    Attributes:
        transposed: Rows become columns.
        upside_down: The first row becomes the last.
        mirrored: The first column becomes the last.
    """

    transposed: bool = False
    upside_down: bool = False
    mirrored: bool = False


# By the value of the tag; EXIF 2.32 (CIPA DC-008-2019), section 4.6.4, "Orientation".
TURNS = {
    1: Turn(),
    2: Turn(mirrored=True),
    3: Turn(upside_down=True, mirrored=True),
    4: Turn(upside_down=True),
    5: Turn(transposed=True),
    6: Turn(transposed=True, mirrored=True),
    7: Turn(transposed=True, upside_down=True, mirrored=True),
    8: Turn(transposed=True, upside_down=True),
}


def orientation(image: Any) -> int:
    """The orientation that a PIL image states, from 1 (upright) to 8; 1 where it states none.

    Example:
        >>> from PIL import Image
        >>> orientation(Image.new("RGB", (2, 2)))
        1
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, where the tags are damaged
            value = image.getexif().get(ORIENTATION, 1)
        return value if value in TURNS else 1
    except Exception:  # damaged tags make Pillow raise almost anything; the pixels are whole
        return 1


def orientation_of_file(path: Path) -> int:
    """The orientation of an image file, as `orientation`; a file without tags is only searched."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if all(data.find(marker) < 0 for marker in MARKERS):
                return 1
            from PIL import Image

            with Image.open(io.BytesIO(data)) as image:
                return orientation(image)
    except (OSError, ValueError, ImportError):
        return 1


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Stored pixels (height, width, ...) the right way up, by the value of the tag.

    Example:
        >>> upright(np.array([[1, 2], [3, 4]]), 6).tolist()
        [[3, 1], [4, 2]]
    """
    turn = TURNS[orientation]
    if turn.transposed:
        pixels = pixels.swapaxes(0, 1)
    if turn.upside_down:
        pixels = pixels[::-1]
    return pixels[:, ::-1] if turn.mirrored else pixels
