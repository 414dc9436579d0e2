"""Batch norm's moving statistics: estimated anew, and whether a run is long enough for them."""

import warnings
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import keras
import numpy as np

from keras_bottleneck import checks, keras_private
from keras_bottleneck.console import track
from keras_bottleneck.data.batches import batches_in, batches_of, images_of, is_endless

# How much of a moving average may be older than the run.
OLD_SHARE = 0.05


def batch_norms(layers: Iterable[keras.layers.Layer]) -> list[keras.layers.BatchNormalization]:
    """The batch norms among `layers` and inside them, each once."""
    found = {}
    for layer in layers:
        for inner in (layer, *keras_private.sublayers(layer)):
            if isinstance(inner, keras.layers.BatchNormalization):
                found[id(inner)] = inner
    return list(found.values())


def recalibrate_batch_norm(
    model: keras.Model, data: Any, batch_size: int = 32, steps: int | None = None
) -> None:
    """Estimates the statistics of all batch norms anew, as averages over `data`, in place.

    The moving averages of training lag behind the weights, and after few steps they still hold
    where they began. Here, the images pass through the network once: batch norms normalize with
    the statistics of the batch, as in training, every other layer works as at inference (no
    dropout, no augmentation), and each statistic becomes that of all images. Weights do not
    change. Frozen batch norms are estimated too, and stay frozen.

    The larger the batches, the better: those of the training are right. Batch norms that were
    folded into their convolutions must not be estimated: what they hold are no statistics.

    Source: Wu & Johnson 2021, "Rethinking 'Batch' in BatchNorm", section 3.

    Args:
        model: Any built Keras model of images; nested models and composite layers are reached.
        data: Images, (images, labels) arrays, or batches of either: a list of arrays with as many
            axes each is one of batches. Labels are not used.
        batch_size: Samples per batch of arrays; datasets come batched.
        steps: Batches to read; None for all of them, if they end.

    Raises:
        ValueError: If `model` is no Keras model, `data` holds nothing, or never ends and `steps` is
            not given, or an argument is out of range.

    Example:
        >>> inputs = keras.Input((2,))
        >>> model = keras.Model(inputs, keras.layers.BatchNormalization()(inputs))
        >>> recalibrate_batch_norm(model, np.array([[0.0, 1.0], [4.0, 1.0]]))
        >>> keras.ops.convert_to_numpy(model.layers[-1].moving_mean).tolist()
        [2.0, 1.0]
    """
    if not isinstance(model, keras.Model):
        raise checks.reject("model", model, "a Keras model")
    batch_size = checks.integer("batch_size", batch_size)
    steps = None if steps is None else checks.integer("steps", steps)
    if steps is None and is_endless(data):
        raise checks.reject("steps", None, "given for data that never end")
    layers = [_Moments(layer) for layer in batch_norms([model])]
    if not layers:
        return
    total = steps if steps is not None else batches_in(data, batch_size)
    with keras_private.calls_replaced({one.layer: one.call for one in layers}):
        try:
            for images in track(_images(data, batch_size, steps), total, "batch norm"):
                model(keras_private.as_taken(model, images), training=False)
        finally:
            for one in layers:
                one.restore()
    if not any(one.count for one in layers):
        raise ValueError("`data` must hold at least one batch. Received: an empty dataset")
    for one in layers:
        one.assign()


def warn_of_momentum(layers: Iterable[keras.layers.Layer], steps: int) -> None:
    """Warns if batch norms move so slowly that `steps` leave much of their old statistics.

    Args:
        layers: They and the layers inside them are looked at.
        steps: Training steps of the run.
    """
    norms = batch_norms(layers)
    if not norms:
        return
    slowest = max(norms, key=lambda layer: layer.momentum)
    old = slowest.momentum**steps
    if old > OLD_SHARE:
        warnings.warn(
            f"Batch norm {slowest.name!r} has momentum {slowest.momentum:g}: after {steps} steps, "
            f"{old:.0%} of its moving statistics still are what they were before. Train longer, "
            "estimate them with `recalibrate_batch_norm`, or set a momentum of at most "
            f"{OLD_SHARE ** (1 / steps):.3f}.",
            stacklevel=6,  # the caller of `finetune`
        )


class _Moments:
    """Sums the moments of the batches that a batch norm sees, in place of its moving averages."""

    def __init__(self, layer: keras.layers.BatchNormalization) -> None:
        self.layer = layer
        self.trainable, self.momentum = layer.trainable, layer.momentum
        self.original_call = layer.call
        self.before = [_copied(one) for one in (layer.moving_mean, layer.moving_variance)]
        self.count = 0
        self.sums: list[Any] = [0.0, 0.0]

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """The layer's call in training, after which it holds the moments of this batch alone."""
        layer = self.layer
        # What was there may be NaN, which no momentum clears. Sums of squares are exact around a
        # mean that is about right.
        layer.moving_mean.assign(_mean(inputs[:1], layer.axis))
        layer.moving_variance.assign(np.zeros_like(self.before[1]))
        layer.momentum = 0.0
        if not self.trainable:
            layer.trainable = True
        outputs = self.original_call(inputs, training=True, mask=mask)
        mean, variance = (
            _copied(one).astype("float64") for one in (layer.moving_mean, layer.moving_variance)
        )
        size = int(np.prod(inputs.shape)) // mean.size
        self.count += size
        self.sums[0] = self.sums[0] + size * mean
        self.sums[1] = self.sums[1] + size * (variance + mean**2)
        return outputs

    def restore(self) -> None:
        """Put back everything that `call` changed."""
        self.layer.momentum = self.momentum
        if self.layer.trainable != self.trainable:
            self.layer.trainable = self.trainable
        self.layer.moving_mean.assign(self.before[0])
        self.layer.moving_variance.assign(self.before[1])

    def assign(self) -> None:
        """Give the layer the moments of all batches; one that saw none keeps its own."""
        if self.count:
            mean, square = (total / self.count for total in self.sums)
            self.layer.moving_mean.assign(mean.astype("float32"))
            self.layer.moving_variance.assign((square - mean**2).clip(0).astype("float32"))


def _mean(images: Any, axis: int) -> Any:
    """The mean per channel, in float32."""
    others = [one for one in range(len(images.shape)) if one != axis % len(images.shape)]
    return keras.ops.mean(keras.ops.cast(images, "float32"), axis=others)


def _copied(variable: Any) -> np.ndarray:
    """An array of its own: on jax, the variable's memory is given back to the next step."""
    return np.array(keras.ops.convert_to_numpy(variable))


def _images(data: Any, batch_size: int, steps: int | None) -> Iterator[Any]:
    """The images of each batch, at most `steps` batches."""
    images = images_of(data)  # without the labels, which may be of any kind
    given = data if images is None else images
    for batch in islice(batches_of("data", given, batch_size), steps):
        images = batch[0] if isinstance(batch, (tuple, list)) else batch
        yield images if keras.ops.is_tensor(images) else np.asarray(images)
