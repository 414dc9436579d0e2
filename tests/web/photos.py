"""Photographs in files of many kinds, from the two that come with scikit-learn."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

ORIENTATION = 0x0112
ORIENTATIONS = range(1, 9)
QUARTER_TURN = 6


def sample_photos() -> list[Image.Image]:
    """A pagoda and a flower, 640 x 427 pixels each."""
    from sklearn.datasets import load_sample_images

    return [Image.fromarray(image) for image in load_sample_images().images]


def write_all(folder: Path) -> list[Path]:
    """One file of each kind that people take photos, or keep pictures, in."""
    pagoda, flower = sample_photos()
    folder.mkdir()

    def save(name: str, image: Image.Image, **options) -> None:
        image.save(folder / name, **options)

    save("whole.png", pagoda)
    save("whole.jpg", flower, quality=90)
    save("progressive.jpg", pagoda, quality=60, progressive=True)
    save("odd_shape.jpg", flower.crop((101, 50, 258, 351)), subsampling=2)
    save("strip.png", pagoda.crop((0, 200, 640, 203)))
    save("speck.png", flower.crop((300, 200, 305, 207)))
    save("model_size.png", flower.resize((32, 32)))
    save("large.jpg", pagoda.resize((2000, 1333)))
    save("grey.jpg", pagoda.convert("L"))
    save("grey.png", flower.convert("L"))
    save("palette.png", flower.quantize(200))
    save("black_and_white.png", pagoda.convert("1"))
    for value in ORIENTATIONS:
        save(f"turned_{value}.jpg", pagoda.resize((64, 43)), quality=95, exif=turned(value))
    save("turned.png", flower, exif=turned(QUARTER_TURN))
    save("turned.webp", flower, lossless=True, exif=turned(QUARTER_TURN))
    save("mirrored.webp", pagoda.resize((64, 43)), lossless=True, exif=turned(7))
    save("transparent.png", transparent(pagoda))
    save("profile.jpg", flower, icc_profile=red_and_blue_swapped())
    save("gamma.png", pagoda, pnginfo=gamma(1.0))
    save("lossless.webp", flower, lossless=True)
    return sorted(folder.iterdir())


def turned(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = value
    return exif


def transparent(image: Image.Image) -> Image.Image:
    """`image` fading from opaque on the left to invisible on the right."""
    alpha = np.linspace(255, 0, image.width).astype(np.uint8)
    faded = image.copy()
    faded.putalpha(Image.fromarray(np.tile(alpha, (image.height, 1))))
    return faded


def red_and_blue_swapped() -> bytes:
    """sRGB's colour profile with the names of two of its colours exchanged."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"????", 1).replace(b"bXYZ", b"rXYZ", 1)
    return swapped.replace(b"????", b"bXYZ", 1)


def gamma(value: float) -> PngInfo:
    info = PngInfo()
    info.add(b"gAMA", round(100_000 / value).to_bytes(4, "big"))
    return info
