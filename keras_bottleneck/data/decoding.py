"""From a file to pixels in TensorFlow, and the check that every file can make that journey."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from keras_bottleneck.checks import first_line
from keras_bottleneck.data.images import load_tensorflow
from keras_bottleneck.image_files import HEAD, TURNS, advice, orientation_of_file
from keras_bottleneck.progress import track

if TYPE_CHECKING:
    import tensorflow as tf

# What TensorFlow writes around a message.
OPERATION = re.compile(r"^{{.*?}} | \[Op:.*$")
# Of so many files the sizes come at once.
CHUNK = 64


class Scan(NamedTuple):
    """What decoding a file once has told.

    Attributes:
        size: (height, width) of the upright image; None where the file cannot be decoded.
        orientation: That which the file states, from 1 to 8.
        problem: Why the file cannot be decoded.
    """

    size: tuple[int, int] | None
    orientation: int = 1
    problem: str = ""


def decode(path: "tf.Tensor", channels: int) -> "tf.Tensor":
    """The stored pixels of a file, of animations the first frame: uint8 (height, width, channels).

    Equal to what `keras_bottleneck.preprocessing.pixels` decodes with Pillow: hence the slower,
    accurate inverse transform for JPEG, whose grey is its own luma, and Pillow's integer weights
    for the grey of all other files and of JPEG in CMYK. `upright` is left to do.

    Args:
        path: Scalar string tensor.
        channels: 1 or 3.
    """
    tf = load_tensorflow()
    contents = tf.io.read_file(path)

    def jpeg(of: int) -> Any:
        return tf.io.decode_jpeg(contents, of, dct_method="INTEGER_ACCURATE")

    def luma() -> Any:
        is_cmyk = tf.io.extract_jpeg_shape(contents)[-1] == 4
        return tf.cond(is_cmyk, lambda: grey(jpeg(3)), lambda: jpeg(1))

    def other() -> Any:
        pixels = tf.io.decode_image(contents, channels=3, expand_animations=False)
        coloured = tf.cond(
            _has_palette(contents), lambda: _coloured(contents, pixels), lambda: pixels
        )
        return grey(coloured) if channels == 1 else coloured

    pixels = tf.cond(tf.io.is_jpeg(contents), luma if channels == 1 else lambda: jpeg(3), other)
    return tf.ensure_shape(pixels, (None, None, channels))


def upright(pixels: "tf.Tensor", orientation: "tf.Tensor") -> "tf.Tensor":
    """Stored pixels (height, width, channels) the right way up: `image_files.upright`."""
    tf = load_tensorflow()

    def turned() -> Any:
        turns = tf.gather(tf.constant([TURNS[value] for value in sorted(TURNS)]), orientation - 1)
        whole = tf.cond(turns[0], lambda: tf.transpose(pixels, (1, 0, 2)), lambda: pixels)
        whole = tf.cond(turns[1], lambda: tf.reverse(whole, [0]), lambda: whole)
        return tf.cond(turns[2], lambda: tf.reverse(whole, [1]), lambda: whole)

    return tf.cond(orientation == 1, lambda: pixels, turned)


def _has_palette(contents: "tf.Tensor") -> "tf.Tensor":
    """Whether a file is a BMP of 8 bits a pixel, of which TensorFlow does not know the colours."""
    tf = load_tensorflow()
    is_bmp = tf.strings.substr(contents, 0, 2) == b"BM"
    return is_bmp & (_number(contents, 28, "uint16") == 8)


def _coloured(contents: "tf.Tensor", indices: "tf.Tensor") -> "tf.Tensor":
    """The colours of a BMP, (height, width, 3), by their places in its palette."""
    tf = load_tensorflow()
    start, end = 14 + _number(contents, 14), _number(contents, 10)
    entries = tf.io.decode_raw(tf.strings.substr(contents, start, end - start), tf.uint8)
    palette = tf.reshape(entries, (-1, 4))[:, 2::-1]
    return tf.gather(palette, tf.cast(indices[..., 0], tf.int32))


def _number(contents: "tf.Tensor", at: int, dtype: str = "int32") -> "tf.Tensor":
    """The little-endian number at a place of a file."""
    tf = load_tensorflow()
    size = tf.as_dtype(dtype).size
    return tf.io.decode_raw(tf.strings.substr(contents, at, size), dtype)[0]


def grey(pixels: "tf.Tensor") -> "tf.Tensor":
    """uint8 (height, width, 3) to uint8 (height, width, 1), by ITU-R 601-2 as Pillow rounds it."""
    tf = load_tensorflow()
    weighted = tf.cast(pixels, tf.int32) * tf.constant([19595, 38470, 7471])
    total = tf.reduce_sum(weighted, axis=-1, keepdims=True) + 0x8000
    return tf.cast(tf.bitwise.right_shift(total, 16), tf.uint8)


def scan(paths: Sequence[Path], on_scan: Callable[[Path, Scan], None]) -> list[Scan]:
    """Decodes every file once, on all cores, with the decoder of the training.

    A file that breaks the decoder would otherwise be missing in a training hours after its start.

    Args:
        paths: The files.
        on_scan: Called with every path and its result, in order; it may raise to stop.
    """
    results = []
    for path, result in zip(
        paths, track(_scans(paths), len(paths), "Checking images"), strict=True
    ):
        on_scan(path, result)
        results.append(result)
    return results


def _scans(paths: Sequence[Path]) -> Iterator[Scan]:
    """Of each file, in order: by TensorFlow's own threads, or, to hear why it fails, by a call."""
    tf = load_tensorflow()

    def sized(index: Any, path: Any) -> tuple:
        return index, tf.shape(decode(path, channels=3))[:2]

    files = tf.data.Dataset.from_tensor_slices([str(path) for path in paths]).enumerate()
    sizes = files.map(sized, tf.data.AUTOTUNE, deterministic=True).ignore_errors()
    done = 0
    for indices, shapes in sizes.batch(CHUNK).as_numpy_iterator():
        for index, (height, width) in zip(indices.tolist(), shapes.tolist(), strict=True):
            yield from map(_scan, paths[done:index])
            yield _sized(paths[index], height, width)
            done = index + 1
    yield from map(_scan, paths[done:])


def _scan(path: Path) -> Scan:
    tf = load_tensorflow()
    try:
        height, width, _ = decode(tf.constant(str(path)), channels=3).shape
    except tf.errors.OpError as error:
        with path.open("rb") as file:
            kind = advice(file.read(HEAD))
        return Scan(None, problem=kind or OPERATION.sub("", first_line(error.message)))
    return _sized(path, height, width)


def _sized(path: Path, height: int, width: int) -> Scan:
    orientation = orientation_of_file(path)
    size = (width, height) if TURNS[orientation].transposed else (height, width)
    return Scan(size, orientation)
