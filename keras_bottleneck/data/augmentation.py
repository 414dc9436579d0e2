"""Augmentation of training batches by Keras's own layers, repeatable for a given seed.

Imports keras, which the rest of the folder does not need.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import keras

from keras_bottleneck.checks import one_of, reject
from keras_bottleneck.data.images import load_tensorflow
from keras_bottleneck.keras_private import set_generator

if TYPE_CHECKING:
    import tensorflow as tf

NAMES = ("flip", "crop", "rand_augment", "mixup")
LABEL_MIXERS = (keras.layers.MixUp, keras.layers.CutMix)
# CIFAR's usual crop moves a 32 pixel image by up to 4 pixels (He et al. 2015, section 4.2).
SHIFT = 1 / 8


class BatchSeeds(keras.random.SeedGenerator):
    """Seeds that are a function of the batch, not of what was drawn before.

    Keras's generator counts in a variable. tf.data prepares batches ahead and in parallel, so that
    the count which a batch meets depends on timing; this one makes a run repeatable.
    """

    def __init__(self) -> None:
        super().__init__(seed=0)
        self._batch_seed: Any = None
        self._draws = 0

    def start(self, batch_seed: "tf.Tensor") -> None:
        """To be called before a batch is augmented; `batch_seed` is a scalar integer tensor."""
        self._batch_seed, self._draws = batch_seed, 0

    def next(self, ordered: bool = True) -> "tf.Tensor":
        self._draws += 1
        return load_tensorflow().stack([self._batch_seed, self._draws])


class Augmenter:
    """The augmentations of one pipeline.

    Args:
        augment: Names out of `NAMES`, Keras layers, or callables on batches, in order.
        channels: Of the images.

    Raises:
        ValueError: If `augment` is no sequence, or holds something else, or "rand_augment" for grey
            images.
    """

    def __init__(self, augment: Any, channels: int) -> None:
        if isinstance(augment, (str, bytes)) or not isinstance(augment, Iterable):
            raise reject("augment", augment, f"a sequence of names {NAMES}, layers or callables")
        items = tuple(augment)
        if channels != 3 and "rand_augment" in items:
            raise reject("augment", items, "without 'rand_augment' where images have 1 channel")
        self._seeds = BatchSeeds()
        self._steps = [self._step(item) for item in items]
        # The order in which a foreign layer draws its random numbers is not ours to fix, so that
        # it gets one batch at a time.
        self._in_parallel = all(isinstance(item, str) for item in items)
        self.needs_one_hot = "mixup" in items or any(isinstance(i, LABEL_MIXERS) for i in items)

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

    def _step(self, item: Any) -> Callable[..., tuple]:
        if isinstance(item, str) or not callable(item):
            layer = _named(one_of("augment", item, NAMES))
            set_generator(layer, self._seeds)
            return _as_step(layer)
        return _as_step(item)


def _named(name: str) -> keras.layers.Layer:
    # float32 whatever the global policy: in bfloat16 neighbouring pixels above 128 become one.
    if name == "flip":
        return keras.layers.RandomFlip("horizontal", seed=0, dtype="float32")
    if name == "crop":
        # Nearest, because a shift by a fraction of a pixel would blur.
        return keras.layers.RandomTranslation(
            SHIFT, SHIFT, fill_mode="reflect", interpolation="nearest", seed=0, dtype="float32"
        )
    if name == "rand_augment":
        return keras.layers.RandAugment(value_range=(0, 255), seed=0, dtype="float32")
    return keras.layers.MixUp(alpha=0.2, seed=0, dtype="float32")


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
