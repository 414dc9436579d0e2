"""Files that turn unreadable after they were listed, and the files that take their place."""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_bottleneck.data.images import load_tensorflow

if TYPE_CHECKING:
    import tensorflow as tf


def load_batches(
    samples: "tf.data.Dataset", count: Any, load: Callable, batch_size: int, part: str
) -> "tf.data.Dataset":
    """Batches of what `load` makes of the samples; where it fails, of the sample behind.

    A pass over the data therefore has as many images as were planned, each in its place, whatever
    happens to the files meanwhile: the learning rate counts on it, and so does a training that is
    taken up. A pass in which files were missed ends with a warning that says how many.

    Args:
        samples: In the order of this pass.
        count: How many there are; an integer or a scalar int64 tensor.
        load: From a sample to (pixels, label).
        batch_size: Samples per batch; the last batch may be smaller.
        part: What the samples are called in the warning.
    """
    tf = load_tensorflow()
    count = tf.cast(count, tf.int64)

    def numbered(index: Any, sample: tuple) -> tuple:
        return index, load(*sample)

    def fill(state: tuple, batch: tuple) -> tuple:
        """A batch with its gaps filled; the state is the last place, its image, and the gaps."""
        last, image, missed = state
        places, images = batch
        gaps = places - tf.concat([last[None], places[:-1]], 0) - 1
        at_end = places[-1] == count
        missed += tf.reduce_sum(gaps)
        missed = tf.cond(at_end & (missed > 0), lambda: say(missed), lambda: missed)
        filled = tf.cond(
            at_end | tf.reduce_any(gaps > 0),
            lambda: stand_in(image, images, gaps, at_end),
            lambda: images,
        )
        return (places[-1], tf.nest.map_structure(lambda one: one[-1], images), missed), filled

    def stand_in(image: tuple, images: tuple, gaps: Any, at_end: Any) -> tuple:
        """Each image as often as it is needed; the end bears none, and takes the one before."""
        rows = tf.range(1, tf.size(gaps) + 1)
        is_end = at_end & (rows == tf.size(gaps))
        times = tf.where(is_end, gaps, gaps + 1)
        chosen = tf.repeat(tf.where(is_end, rows - 1, rows), times)
        return tf.nest.map_structure(
            lambda first, others: tf.gather(tf.concat([first[None], others], 0), chosen),
            image,
            images,
        )

    def say(missed: Any) -> Any:
        return tf.ensure_shape(tf.numpy_function(_say(part), [missed, count], tf.int64), ())

    loaded = samples.enumerate().map(numbered, tf.data.AUTOTUNE, deterministic=True)
    nothing = tf.nest.map_structure(
        lambda spec: tf.zeros(spec.shape, spec.dtype), loaded.element_spec[1]
    )
    end = tf.data.Dataset.from_tensors((count, nothing))
    found = loaded.ignore_errors().concatenate(end)
    start = (tf.constant(-1, tf.int64), nothing, tf.constant(0, tf.int64))
    filled = found.batch(batch_size, num_parallel_calls=tf.data.AUTOTUNE).scan(start, fill)
    batches = filled.filter(lambda images, labels: tf.size(labels) > 0).rebatch(batch_size)
    length = (count + batch_size - 1) // batch_size
    return batches.apply(tf.data.experimental.assert_cardinality(length))


def _say(part: str) -> Callable[[np.int64, np.int64], np.int64]:
    def say(missed: np.int64, count: np.int64) -> np.int64:
        if missed == count:
            raise ValueError(f"None of the {count:,} {part} images can be read any longer")
        warnings.warn(
            f"{missed:,} of {count:,} {part} images could not be read in this pass over them; the "
            "images behind them took their places. `image_folder` lists such files in `skipped`.",
            stacklevel=2,
        )
        return missed

    return say
