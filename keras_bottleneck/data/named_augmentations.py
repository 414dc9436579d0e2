"""The augmentations that have a name: one row each, made of Keras's layers where it has them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keras import layers

from keras_bottleneck.data.images import load_tensorflow
from keras_bottleneck.data.seeds import BatchSeeds
from keras_bottleneck.keras_private import set_generator

PIXELS = (0, 255)
# CIFAR's usual crop moves a 32 pixel image by up to 4 pixels (He et al. 2015, section 4.2).
SHIFT = 1 / 8
# Of "resized_crop": the share of the image and the ratio of width to height (Szegedy et al. 2014,
# "Going Deeper with Convolutions", section 6). Their smallest share is 8% of a photograph; this
# crop is cut from what has been resized for the network, and would be a blur.
SHARE, RATIO = (0.25, 1.0), (3 / 4, 4 / 3)
TURN = 15 / 360
# "augmix": three chains of up to three operations (Hendrycks et al. 2020, section 3).
CHAINS, DEPTH = 3, 3

Change = Callable[[Any], Any]


@dataclass(frozen=True)
class Named:
    """An augmentation that has a name.

    Attributes:
        make: From the seeds to draw from to a layer, or a function of batches of 0..255 pixels.
        in_colour: Whether it needs images with three channels.
    """

    make: Callable[[BatchSeeds], Any]
    in_colour: bool = False


def _layer(kind: type[layers.Layer], seeds: BatchSeeds, **settings: Any) -> layers.Layer:
    # float32 whatever the global policy: in bfloat16 neighbouring pixels above 128 become one.
    layer = kind(seed=0, dtype="float32", **settings)
    set_generator(layer, seeds)
    return layer


def _flip(seeds: BatchSeeds) -> layers.Layer:
    return _layer(layers.RandomFlip, seeds, mode="horizontal")


def _shift(seeds: BatchSeeds, interpolation: str = "bilinear", part: float = 0.1) -> layers.Layer:
    return _layer(
        layers.RandomTranslation,
        seeds,
        height_factor=part,
        width_factor=part,
        fill_mode="reflect",
        interpolation=interpolation,
    )


def _crop(seeds: BatchSeeds) -> layers.Layer:
    # Nearest, because a shift by a fraction of a pixel would blur.
    return _shift(seeds, "nearest", SHIFT)


def _rotation(seeds: BatchSeeds, turn: float = TURN) -> layers.Layer:
    return _layer(layers.RandomRotation, seeds, factor=turn, fill_mode="reflect")


def _erasing(seeds: BatchSeeds) -> layers.Layer:
    return _layer(layers.RandomErasing, seeds, factor=(0.5, 0.5), value_range=PIXELS)


def _resized_crop(seeds: BatchSeeds) -> Change:
    """Of which Keras has the zoom alone, into the middle."""
    tf = load_tensorflow()

    def change(images: Any) -> Any:
        count = tf.shape(images)[0]

        def drawn(low: float, high: float) -> Any:
            return tf.random.stateless_uniform((count,), seeds.next(), low, high)

        share, ratio = drawn(*SHARE), tf.exp(drawn(*map(math.log, RATIO)))
        height = tf.minimum(tf.sqrt(share / ratio), 1.0)
        width = tf.minimum(tf.sqrt(share * ratio), 1.0)
        top, left = drawn(0.0, 1.0) * (1 - height), drawn(0.0, 1.0) * (1 - width)
        boxes = tf.stack([top, left, top + height, left + width], axis=1)
        return tf.image.crop_and_resize(images, boxes, tf.range(count), images.shape[1:3])

    return change


def _jitter(seeds: BatchSeeds) -> Change:
    """Brightness, contrast, saturation and hue, as Keras's `RandomColorJitter` but for two things.

    That one computes in the dtype of the global policy, and lets saturations above 1 pass where
    pixels go to 255 (Keras 3.15), so that its four parts are called here.
    """
    brightness = _layer(layers.RandomBrightness, seeds, factor=0.2, value_range=PIXELS)
    contrast = _layer(layers.RandomContrast, seeds, factor=(0.4, 0.4), value_range=PIXELS)
    # 0.5 is the image itself; from 3/5 to 5/3 of its saturation.
    saturation = _layer(layers.RandomSaturation, seeds, factor=(0.375, 0.625), value_range=(0, 1))
    hue = _layer(layers.RandomHue, seeds, factor=0.1, value_range=PIXELS)

    def change(images: Any) -> Any:
        images = contrast(brightness(images, training=True), training=True)
        return hue(saturation(images / 255, training=True) * 255, training=True)

    return change


def _solarized(seeds: BatchSeeds) -> Change:
    """The brightest pixels inverted; Keras's `Solarization` draws thresholds from 0 on only."""
    tf = load_tensorflow()

    def change(images: Any) -> Any:
        shape = (tf.shape(images)[0], 1, 1, 1)
        threshold = tf.random.stateless_uniform(shape, seeds.next(), 0.7 * 255, 255.0)
        return tf.where(images < threshold, images, 255 - images)

    return change


def _augmix(seeds: BatchSeeds) -> Change:
    """Chains of operations, mixed with each other and with the image.

    Keras's `AugMix` draws its operations with Python's random numbers when it is traced: in tf.data
    they would be the same in each batch, and others in each process. Here they are drawn for each
    batch, their strengths and the weights for each image. Not among them is what the corruptions of
    ImageNet-C do (brightness, contrast, colour, sharpness), as in the paper; nor, other than there,
    Keras's `Equalization`, whose graph on the JAX backend takes minutes to trace.

    Source: Hendrycks et al. 2020, "AugMix: A Simple Data Processing Method to Improve Robustness
    and Uncertainty", section 3.
    """
    tf = load_tensorflow()
    own = BatchSeeds()
    operations = (
        layers.AutoContrast(value_range=PIXELS, dtype="float32"),
        _layer(layers.RandomPosterization, own, factor=(4, 7), value_range=PIXELS),
        _solarized(own),
        _rotation(own, 10 / 360),
        _layer(layers.RandomShear, own, x_factor=0.1, y_factor=0.1, fill_mode="reflect"),
        _shift(own),
    )

    @tf.function  # or the operations would be traced nine times, which takes long
    def one_of_them(images: Any, seed: Any) -> Any:
        own.start(seed)
        number = tf.random.stateless_uniform((), own.next(), 0, len(operations) + 1, dtype=tf.int32)

        def branch(operation: Any) -> Callable[[], Any]:
            return lambda: tf.ensure_shape(tf.cast(operation(images), tf.float32), images.shape)

        # The last leaves the image alone: a chain may be shorter.
        branches = [branch(operation) for operation in (*operations, tf.identity)]
        return tf.switch_case(number, branches)

    def change(images: Any) -> Any:
        # Gamma variates of shape 1, divided by their sum, are a sample of the Dirichlet
        # distribution; a beta variate of (1, 1) is a uniform one.
        count = tf.shape(images)[0]
        draws = tf.random.stateless_gamma((CHAINS, count, 1, 1, 1), seeds.next(), alpha=1.0)
        weights = draws / tf.reduce_sum(draws, axis=0)
        share = tf.random.stateless_uniform((count, 1, 1, 1), seeds.next())
        mixed = tf.zeros_like(images)
        for chain in range(CHAINS):
            changed = images
            for _ in range(DEPTH):
                seed = tf.random.stateless_uniform(
                    (), seeds.next(), maxval=tf.int64.max, dtype=tf.int64
                )
                changed = one_of_them(changed, seed)
            mixed += weights[chain] * changed
        return share * images + (1 - share) * mixed

    return change


def _rand_augment(seeds: BatchSeeds) -> layers.Layer:
    return _layer(layers.RandAugment, seeds, value_range=PIXELS)


def _mixup(seeds: BatchSeeds) -> layers.Layer:
    return _layer(layers.MixUp, seeds, alpha=0.2)


def _cutmix(seeds: BatchSeeds) -> layers.Layer:
    # The area is drawn from all areas alike (Yun et al. 2019, section 3.1).
    return _layer(layers.CutMix, seeds, factor=(1.0, 1.0))


AUGMENTATIONS = {
    "flip": Named(_flip),
    "crop": Named(_crop),
    "resized_crop": Named(_resized_crop),
    "rotation": Named(_rotation),
    "jitter": Named(_jitter, in_colour=True),
    "rand_augment": Named(_rand_augment, in_colour=True),
    "augmix": Named(_augmix),
    "erasing": Named(_erasing),
    "mixup": Named(_mixup),
    "cutmix": Named(_cutmix),
}
