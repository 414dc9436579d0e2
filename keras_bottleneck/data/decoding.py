"""From a file to pixels in TensorFlow, and the check that every file can make that journey."""

import os
from collections.abc import Callable, Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from keras_bottleneck.data.images import load_tensorflow
from keras_bottleneck.progress import track

if TYPE_CHECKING:
    import tensorflow as tf


class Scan(NamedTuple):
    """What decoding a file once has told: its (height, width), or the reason why it failed."""

    size: tuple[int, int] | None
    problem: str = ""


def decode(path: "tf.Tensor", channels: int) -> "tf.Tensor":
    """The pixels of a JPEG, PNG, BMP or GIF (first frame) file: uint8 (height, width, channels).

    Equal to what `keras_bottleneck.preprocessing.pixels` decodes with Pillow: hence the slower,
    accurate inverse transform for JPEG, whose grey is its own luma, and Pillow's integer weights
    for the grey of all other files. The EXIF orientation is ignored, as it is there.

    Args:
        path: Scalar string tensor.
        channels: 1 or 3.
    """
    tf = load_tensorflow()
    contents = tf.io.read_file(path)

    def other() -> Any:
        pixels = tf.io.decode_image(contents, channels=3, expand_animations=False)
        return grey(pixels) if channels == 1 else pixels

    pixels = tf.cond(
        tf.io.is_jpeg(contents),
        lambda: tf.io.decode_jpeg(contents, channels, dct_method="INTEGER_ACCURATE"),
        other,
    )
    return tf.ensure_shape(pixels, (None, None, channels))


def grey(pixels: "tf.Tensor") -> "tf.Tensor":
    """uint8 (height, width, 3) to uint8 (height, width, 1), by ITU-R 601-2 as Pillow rounds it."""
    tf = load_tensorflow()
    weighted = tf.cast(pixels, tf.int32) * tf.constant([19595, 38470, 7471])
    total = tf.reduce_sum(weighted, axis=-1, keepdims=True) + 0x8000
    return tf.cast(tf.bitwise.right_shift(total, 16), tf.uint8)


def scan(paths: Sequence[Path], on_scan: Callable[[Path, Scan], None]) -> list[Scan]:
    """Decodes every file once, on all cores, with the decoder of the training.

    A file that breaks the decoder would otherwise end a training hours after its start.

    Args:
        paths: The files.
        on_scan: Called with every path and its result, in order; it may raise to stop.
    """
    results = []
    with ThreadPool(os.cpu_count()) as pool:
        scans = pool.imap(_scan, paths, chunksize=8)
        for path, result in zip(paths, track(scans, len(paths), "Checking images"), strict=True):
            on_scan(path, result)
            results.append(result)
    return results


def _scan(path: Path) -> Scan:
    tf = load_tensorflow()
    try:
        height, width, _ = decode(tf.constant(str(path)), channels=3).shape
    except tf.errors.OpError as error:
        return Scan(None, str(error.message).partition("\n")[0])
    return Scan((height, width))
