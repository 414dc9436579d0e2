"""Augmentation of training batches by Keras's own layers, repeatable for a given seed.

Imports keras, which the rest of the folder does not need.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import keras

from keras_bottleneck.checks import one_of, reject
from keras_bottleneck.data.images import load_tensorflow
from keras_bottleneck.data.named_augmentations import AUGMENTATIONS
from keras_bottleneck.data.seeds import BatchSeeds

if TYPE_CHECKING:
    import tensorflow as tf

LABEL_MIXERS = (keras.layers.MixUp, keras.layers.CutMix)


class Augmenter:
    """The augmentations of one pipeline.

    Args:
        augment: Names out of `AUGMENTATIONS`, Keras layers, or callables on batches, in order.
        channels: Of the images.

    Raises:
        ValueError: If `augment` is no sequence, or holds something else, or an augmentation of
            colours for grey images.
    """

    def __init__(self, augment: Any, channels: int) -> None:
        if isinstance(augment, (str, bytes)) or not isinstance(augment, Iterable):
            accepted = f"a sequence of names {tuple(AUGMENTATIONS)}, layers or callables"
            raise reject("augment", augment, accepted)
        items = tuple(augment)
        self._seeds = BatchSeeds()
        steps = [self._made(item, channels) for item in items]
        self._steps = [_as_step(step) for step in steps]
        # The order in which a foreign layer draws its random numbers is not ours to fix, so that
        # it gets one batch at a time.
        self._in_parallel = all(isinstance(item, str) for item in items)
        self.needs_one_hot = any(isinstance(step, LABEL_MIXERS) for step in steps)

    def apply(self, batches: "tf.data.Dataset", seed: Any, first: Any) -> "tf.data.Dataset":
        """(images 0..255, labels) batches, augmented.

        Args:
            batches: Of one pass over the images.
            seed: Of the pass, a scalar int64 tensor.
            first: How many of its batches come before these.
        """
        if not self._steps:
            return batches
        tf = load_tensorflow()
        shape = batches.element_spec[0].shape

        def augment(number: Any, batch: tuple) -> tuple:
            images, labels = batch
            self._seeds.start(
                tf.random.stateless_uniform((), (seed, number), maxval=tf.int64.max, dtype=tf.int64)
            )
            for step in self._steps:
                images, labels = step(images, labels)
            return tf.ensure_shape(tf.cast(images, tf.float32), shape), labels

        parallel = tf.data.AUTOTUNE if self._in_parallel else None
        return batches.enumerate(first).map(augment, num_parallel_calls=parallel)

    def _made(self, item: Any, channels: int) -> Any:
        """The layer or function of an item of `augment`."""
        if callable(item):
            return item
        row = AUGMENTATIONS[one_of("augment", item, AUGMENTATIONS)]
        if row.in_colour and channels != 3:
            raise reject("augment", item, f"without {item!r} where images have 1 channel")
        return row.make(self._seeds)


def _as_step(item: Any) -> Callable[..., tuple]:
    """`item` as a function of (images, labels) that returns both."""
    if isinstance(item, LABEL_MIXERS):

        def mix(images: "tf.Tensor", labels: "tf.Tensor") -> tuple:
            mixed = item({"images": images, "labels": labels})
            return mixed["images"], mixed["labels"]

        return mix
    is_layer = isinstance(item, keras.layers.Layer)
    if is_layer and "training" in inspect.signature(item.call).parameters:
        return lambda images, labels: (item(images, training=True), labels)
    return lambda images, labels: (item(images), labels)
