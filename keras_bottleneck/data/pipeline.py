"""From samples to batches: load, cache, shuffle, batch, augment, normalize, prefetch."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keras_bottleneck.data.decoding import decode, upright
from keras_bottleneck.data.images import load_tensorflow
from keras_bottleneck.data.unreadable import load_batches
from keras_bottleneck.preprocessing import Preprocessing

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_bottleneck.data.augmentation import Augmenter


@dataclass(frozen=True)
class Batcher:
    """What the training and the validation batches have in common.

    Attributes:
        preprocessing: How pixels become model input.
        batch_size: Images per batch; the last batch may be smaller.
        classes: Number of classes; None where labels are rows as they are.
        seed: Of order and augmentation.
        augmenter: What happens to training batches of 0..255 pixels; its need of one-hot labels
            decides the label kind of the validation batches, too.
        cache: Keep decoded and resized images in memory.
    """

    preprocessing: Preprocessing
    batch_size: int
    classes: int | None
    seed: int
    augmenter: "Augmenter"
    cache: bool = False

    def train(self, samples: "tf.data.Dataset", load: Callable) -> "tf.data.Dataset":
        """Shuffled, augmented batches; `load` turns a sample into (0..255 pixels, label).

        Each pass over them has an order of its own. They are `Resumable`: `from_batch` gives
        passes from any batch on, and the order of each is then a function of the seed and its
        number alone.
        """
        tf = load_tensorflow()
        count, size = len(samples), self.batch_size
        length = math.ceil(count / size)

        def loaded(order: Any, left: Any) -> Any:
            return load_batches(order, left, load, size, "training")

        kept = loaded(samples, count).unbatch().cache() if self.cache else samples

        def shuffled(pass_seed: Any) -> Any:
            tf.random.set_seed(1)  # of this function alone: the program's has no say in the order
            return kept.shuffle(count, seed=pass_seed, reshuffle_each_iteration=False)

        def one_pass(pass_seed: Any, skipped: Any) -> Any:
            order = tf.data.Dataset.from_tensors(pass_seed).flat_map(shuffled)
            order = order.skip(skipped * size)
            batches = order.batch(size) if self.cache else loaded(order, count - skipped * size)
            return self._finish(self.augmenter.apply(self._as_rows(batches), pass_seed, skipped))

        def from_batch(first: int) -> Any:
            begun, skipped = divmod(first, length)

            def numbered(number: Any) -> Any:
                pass_seed = tf.random.stateless_uniform(
                    (), (self.seed, number), maxval=tf.int64.max, dtype=tf.int64
                )
                return one_pass(pass_seed, tf.where(number == begun, tf.cast(skipped, tf.int64), 0))

            return tf.data.Dataset.counter(begun).flat_map(numbered)

        # A single seed, which is another one whenever it is read.
        seeds = tf.data.Dataset.random(seed=self.seed, rerandomize_each_iteration=True).take(1)
        passes = seeds.flat_map(lambda pass_seed: one_pass(pass_seed, tf.constant(0, tf.int64)))
        train = passes.apply(tf.data.experimental.assert_cardinality(length))
        train.from_batch = from_batch
        return train

    def evaluation(
        self, samples: "tf.data.Dataset", load: Callable, part: str = "validation"
    ) -> "tf.data.Dataset":
        """Batches in the order of `samples`; warnings call them `part`."""
        batches = load_batches(samples, len(samples), load, self.batch_size, part)
        return self._finish(self._as_rows(batches.cache() if self.cache else batches))

    def _as_rows(self, batches: "tf.data.Dataset") -> "tf.data.Dataset":
        """With one-hot labels, where the augmentation needs them."""
        tf = load_tensorflow()
        if self.classes is None or not self.augmenter.needs_one_hot:
            return batches
        return batches.map(lambda images, labels: (images, tf.one_hot(labels, self.classes)))

    def _finish(self, batches: "tf.data.Dataset") -> "tf.data.Dataset":
        tf = load_tensorflow()

        def normalize(images: Any, labels: Any) -> tuple:
            mean, std = self.preprocessing.mean, self.preprocessing.std
            if self.preprocessing.color_order == "bgr":
                images = images[..., ::-1]
            return (images * self.preprocessing.scale - mean) / std, labels

        return batches.map(normalize, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def load_file(preprocessing: Preprocessing) -> Callable:
    """The function from (path, geometry, label) to (float32 pixels 0..255 in model size, label).

    `geometry` is `preprocessing.geometry` of the upright image as four integers, height and width
    after resizing, top and left of the crop, and as a fifth the orientation that its file states.
    """

    def load(path: "tf.Tensor", geometry: "tf.Tensor", label: "tf.Tensor") -> tuple:
        pixels = upright(decode(path, preprocessing.channels), geometry[4])
        return resize(pixels, geometry, preprocessing), label

    return load


def resize(pixels: "tf.Tensor", geometry: "tf.Tensor", preprocessing: Preprocessing) -> "tf.Tensor":
    """Pixels (H, W, channels) as float32 (height, width, channels), what `Preprocessing` does."""
    tf = load_tensorflow()
    height, width = preprocessing.image_size
    if preprocessing.interpolation == "bicubic":
        # Like Pillow: width before height, and what overshoots is cut off behind each.
        for size in ((tf.shape(pixels)[0], geometry[1]), (geometry[0], geometry[1])):
            pixels = tf.image.resize(pixels, size, method="bicubic", antialias=True)
            pixels = tf.clip_by_value(pixels, 0.0, 255.0)
    else:
        pixels = tf.image.resize(pixels, geometry[:2], method="bilinear", antialias=True)
    top, left = geometry[2], geometry[3]
    pixels = pixels[top : top + height, left : left + width]
    return tf.ensure_shape(pixels, preprocessing.input_shape)
