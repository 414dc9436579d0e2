"""How pixels become model input: one description, used in training, in the files and on the device.

Needs numpy only; Pillow is imported when an image file has to be decoded.
"""

import io
import math
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from keras_bottleneck import image_files, resampling
from keras_bottleneck.checks import first_line, integer, number, one_of, reject, size

COLOR_ORDERS = ("rgb", "bgr")
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
# Fields that the first files do not have.
LATER = {"color_order", "interpolation"}


@dataclass(frozen=True)
class Preprocessing:
    """From an image of any size to `(height, width, channels)` float32 model input.

    The image is resized, its channels are put in order, then every value becomes
    `(pixel * scale - mean) / std`, with pixels in 0..255.

    Resizing is with antialiasing and no rounding in between. "bilinear" is
    `tf.image.resize(image, size, method="bilinear", antialias=True)` to float precision. "bicubic"
    is Pillow's BICUBIC, before it rounds: TensorFlow's method of that name for the width, then for
    the height, each cut off at 0 and 255. An image that already has the right size is not touched.

    Args:
        image_size: (height, width) of the model input in pixels; one integer stands for both.
        channels: Number of channels of the model input; image files need 1, 3 or 4 (L, RGB, RGBA).
        resize: "stretch" resizes straight to `image_size`; "crop" keeps the aspect ratio, resizes
            the short side to `round(side / crop_fraction)`, then cuts out the centre.
        crop_fraction: Share of the resized short side that the centre crop keeps, in (0, 1]; 0.875
            with 224 pixels is the usual 256 and 224 of ImageNet. Only for `resize="crop"`.
        scale: Factor on the pixels, above 0. With the default, 1/255, pixels become 0..1.
        mean: Subtracted after scaling; one number, or one per channel.
        std: Divided by after that, above 0; one number, or one per channel.
        color_order: "rgb", or "bgr" for a model that takes blue first, as those do whose weights
            came from Caffe; `mean` and `std` are in this order.
        interpolation: "bilinear" or "bicubic" (Keys's cubic filter with a = -0.5).

    Raises:
        ValueError: If an argument is outside what is described above.

    Example:
        >>> import numpy as np
        >>> prepare = Preprocessing(image_size=(2, 2), mean=(0.5,), std=(0.5,))
        >>> prepare(np.full((4, 6, 3), 255, np.uint8)).shape
        (2, 2, 3)
    """

    image_size: tuple[int, int]
    channels: int = 3
    resize: str = "stretch"
    crop_fraction: float = 1.0
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    color_order: str = "rgb"
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        channels = integer("channels", self.channels)
        one_of("interpolation", self.interpolation, tuple(resampling.FILTERS))
        fraction = number("crop_fraction", self.crop_fraction, 0, 1, above=True)
        if one_of("resize", self.resize, ("stretch", "crop")) == "stretch" and fraction != 1:
            raise reject("crop_fraction", fraction, "1.0 with resize='stretch', which never crops")
        one_of("color_order", self.color_order, COLOR_ORDERS)
        if self.color_order == "bgr" and channels != 3:
            raise reject("color_order", "bgr", f"'rgb' with {channels} channels")
        checked = {
            "image_size": size("image_size", self.image_size),
            "channels": channels,
            "crop_fraction": fraction,
            "scale": number("scale", self.scale, above=True),
            "mean": _per_channel("mean", self.mean, channels),
            "std": _per_channel("std", self.std, channels, minimum=0),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of what calling this returns."""
        return (*self.image_size, self.channels)

    @property
    def normalization(self) -> tuple[Any, ...]:
        """What `normalize` goes by: scale, mean and std of each channel, and their order."""
        mean, std = (np.broadcast_to(one, self.channels) for one in (self.mean, self.std))
        return self.scale, tuple(mean.tolist()), tuple(std.tolist()), self.color_order

    def __call__(self, image: Any) -> np.ndarray:
        """`image` as model input: float32, `(height, width, channels)`.

        Args:
            image: Path or bytes of an image file, PIL image, or uint8 or float array of shape
                (H, W) or (H, W, C) with pixel values 0..255. Files and PIL images are turned as
                their EXIF orientation says. A grey array is repeated where 3 channels are wanted.

        Raises:
            ValueError: If the file cannot be read, or the array is empty, not finite, of another
                dtype, or of another number of dimensions or channels.
            ImportError: If `image` is a path or bytes, and Pillow is not installed.
        """
        return self.normalize(self.resized(image))

    def resized(self, image: Any) -> np.ndarray:
        """`image` in the model's size, still as pixels 0..255: float32 `(height, width, channels)`.

        Takes and raises what calling the object does.
        """
        array = pixels(image, self.channels)
        (height, width), (top, left) = self.geometry(*array.shape[:2])
        array = resampling.resize(array, height, width, self.interpolation)
        return array[top : top + self.image_size[0], left : left + self.image_size[1]]

    def geometry(self, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """What `resize` does to `height` x `width` pixels: ((height, width), (top, left)).

        The first pair is the size to resize to, the second where the crop of `image_size` starts.
        The image's size enters in integer arithmetic only, so that TensorFlow can follow exactly.

        Example:
            >>> Preprocessing(224, resize="crop", crop_fraction=0.875).geometry(480, 640)
            ((256, 341), (16, 58))
        """
        if self.resize == "stretch":
            return self.image_size, (0, 0)
        rows, columns = (round(side / self.crop_fraction) for side in self.image_size)
        if width * rows >= height * columns:
            columns = width * rows // height
        else:
            rows = height * columns // width
        top, left = (rows - self.image_size[0]) // 2, (columns - self.image_size[1]) // 2
        return (rows, columns), (top, left)

    def normalize(self, pixels: np.ndarray) -> np.ndarray:
        """`(pixels * scale - mean) / std` as float32, of the same `(..., channels)` shape.

        Args:
            pixels: 0..255 in the order of image files: red, green, blue.

        Raises:
            ValueError: If the last axis is not `channels` long.
        """
        array = np.asarray(pixels, np.float32)
        if array.ndim == 0 or array.shape[-1] != self.channels:
            raise ValueError(
                f"`pixels` must be an array with {self.channels} channels on the last axis. "
                f"Received: an array of shape {array.shape}"
            )
        if self.color_order == "bgr":
            array = array[..., ::-1]
        mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
        return (array * np.float32(self.scale) - mean) / std

    def to_dict(self) -> dict[str, Any]:
        """The fields as a JSON-safe dict, from which `from_dict` makes an equal object."""
        return {name: _as_list(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> "Preprocessing":
        """The object that `to_dict` described.

        Raises:
            ValueError: If `config` is not a dict with exactly these keys ("color_order" and
                "interpolation" may be missing, as in files from before they existed), or a value is
                wrong.

        Example:
            >>> Preprocessing.from_dict(Preprocessing(32).to_dict()) == Preprocessing(32)
            True
        """
        names = {field.name for field in fields(cls)}
        if not isinstance(config, dict) or set(config) | LATER != names:
            received = sorted(map(str, config)) if isinstance(config, dict) else config
            raise reject("config", received, "a dict with the keys " + ", ".join(sorted(names)))
        return cls(**config)


def pixels(image: Any, channels: int) -> np.ndarray:
    """`image` as a float32 array `(H, W, channels)` of pixel values 0..255, in its own size.

    Files are decoded by Pillow, converted to grey, RGB or RGBA, and turned as their EXIF
    orientation says: what TensorFlow's decoders and `data.image_folder` give (for JPEG: with
    `dct_method="INTEGER_ACCURATE"`; grey from a colour PNG may be one level off).

    Args:
        image: Path or bytes of a file, PIL image, or uint8 or float array of shape (H, W) or
            (H, W, C).
        channels: Number of channels of the result.

    Raises:
        ValueError: As `Preprocessing.__call__`.
        ImportError: If `image` is a path or bytes, and Pillow is not installed.

    Example:
        >>> pixels(np.zeros((5, 4), np.uint8), channels=3).shape
        (5, 4, 3)
    """
    if isinstance(image, (str, Path)):
        if not Path(image).is_file():
            raise reject("image", str(image), "the path of an existing image file")
        return _decoded(Path(image), str(image), channels)
    if isinstance(image, (bytes, bytearray, memoryview)):
        return _decoded(io.BytesIO(image), f"{len(image):,} bytes", channels)
    if _is_pil(image):
        return _converted(image, channels)
    return _checked(image, channels)


def _decoded(file: Path | io.BytesIO, name: str, channels: int) -> np.ndarray:
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("Reading image files needs Pillow: pip install pillow.") from None
    mode = _mode(channels)
    try:
        with Image.open(file) as image:
            if mode == "L":
                # A colour JPEG's own luma, as TensorFlow takes it; RGB -> L is up to 7 levels off.
                image.draft("L", None)
            return _converted(image, channels)
    except Exception as error:  # damaged files make Pillow's decoders raise almost anything
        problem = image_files.advice(_head(file)) or first_line(error)
        raise reject("image", name, f"a readable image file ({problem})") from None


def _head(file: Path | io.BytesIO) -> bytes:
    """The first bytes of a file; none where it cannot be read."""
    if isinstance(file, io.BytesIO):
        return file.getvalue()[: image_files.HEAD]
    try:
        with file.open("rb") as stream:
            return stream.read(image_files.HEAD)
    except OSError:
        return b""


def _is_pil(image: Any) -> bool:
    # Nobody holds a PIL image before PIL.Image was imported, so this need not import it.
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(image, module.Image)


def _converted(image: Any, channels: int) -> np.ndarray:
    from PIL import Image

    if image.mode in ("I", "F"):
        raise reject("image", f"PIL mode {image.mode}", "an image of 8 or 16 bits per channel")
    stored = image
    if image.mode.startswith("I;16"):
        # Some versions of Pillow clip 16-bit grey at 255; TensorFlow's decoder keeps the high byte.
        stored = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    array = np.asarray(stored.convert(_mode(channels)), np.uint8)
    return _checked(image_files.upright(array, image_files.orientation(image)), channels)


def _mode(channels: int) -> str:
    if channels not in MODES:
        raise reject("channels", channels, "1, 3 or 4 where images come from files or PIL")
    return MODES[channels]


def _checked(image: Any, channels: int) -> np.ndarray:
    accepted = f"a path, bytes, a PIL image, or a uint8 or float array (H, W) or (H, W, {channels})"
    if not hasattr(image, "__array__"):
        raise reject("image", image, accepted)
    array = np.asarray(image)
    if array.dtype != np.uint8 and not np.issubdtype(array.dtype, np.floating):
        raise _refused(array, accepted)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim == 3 and channels == 3 and array.shape[-1] == 1:
        array = np.repeat(array, 3, axis=-1)
    if array.ndim != 3 or array.shape[-1] != channels or 0 in array.shape:
        raise _refused(np.asarray(image), accepted)
    with np.errstate(over="ignore"):  # what overflows is infinite, and refused below
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise _refused(array, "an array of finite pixel values", "with NaN or infinite values")
    return array


def _refused(array: np.ndarray, accepted: str, detail: str = "") -> ValueError:
    received = f"an array of shape {array.shape} and dtype {array.dtype} {detail}".rstrip()
    return ValueError(f"`image` must be {accepted}. Received: {received}")


def _per_channel(
    name: str, value: Any, channels: int, minimum: float = -math.inf
) -> tuple[float, ...]:
    """`value` as 1 or `channels` floats above `minimum`."""
    wanted = f"a sequence of 1 or {channels} finite numbers" + (" above 0" if minimum == 0 else "")
    if not isinstance(value, Iterable) or isinstance(value, (str, bytes, dict)):
        raise reject(name, value, wanted)
    items = tuple(value)
    if len(items) not in (1, channels):
        raise reject(name, value, wanted)
    try:
        return tuple(number(name, item, minimum, above=True) for item in items)
    except ValueError:
        raise reject(name, value, wanted) from None


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
