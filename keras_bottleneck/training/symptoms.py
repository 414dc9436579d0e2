"""What is wrong with numbers: of images, of labels, of weights, and inside the network."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_bottleneck import keras_private
from keras_bottleneck.training.batch_norm import batch_norms
from keras_bottleneck.training.metrics import Accuracy

RECTIFIERS = (keras.activations.relu, keras.activations.relu6)
# How many times as large the kernel of a layer may get in one epoch.
GROWTH = 1000.0
# After how many samples for each class a class without any is no accident.
SAMPLES_PER_CLASS = 10

# Variables with copies of their values.
Copies = list[tuple[Any, np.ndarray]]
Sizes = list[tuple[Any, float]]


class Inside(NamedTuple):
    """What one batch looks like inside a network that is being trained.

    Attributes:
        dead: The layers whose ReLU gives zero for every pixel, channel and image.
        values: Of each batch norm that is trained, how many values of each channel it sees.
    """

    dead: list[str]
    values: dict[str, int]


def copies(variables: Sequence[Any]) -> Copies:
    """The variables with arrays of their own: on jax, memory is given back to the next step."""
    return [(one, np.array(_value(one))) for one in variables]


def _value(variable: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(variable)


def look_inside(model: keras.Model, images: Any) -> Inside:
    """Calls `model` on a batch as in training; its state stays as it is."""
    layers = keras_private.sublayers(model)
    largest: dict[str, float] = {}
    values: dict[str, int] = {}

    def watched(layer: Any) -> Callable[..., Any]:
        call = layer.call

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            outputs = call(*args, **kwargs)
            # NumPy takes no bfloat16 scalar from TensorFlow.
            most = keras.ops.cast(keras.ops.max(outputs), "float32")
            found = float(keras.ops.convert_to_numpy(most))
            largest[layer.name] = max(found, largest.get(layer.name, 0.0))
            return outputs

        return wrapper

    def counted(layer: Any) -> Callable[..., Any]:
        call = layer.call

        def wrapper(inputs: Any, *args: Any, **kwargs: Any) -> Any:
            channels = int(np.prod(layer.moving_mean.shape))
            values[layer.name] = int(np.prod(inputs.shape)) // channels
            return call(inputs, *args, **kwargs)

        return wrapper

    norms = [one for one in batch_norms([model]) if one.trainable]
    watchers = {layer: watched(layer) for layer in layers if _is_rectifier(layer)}
    watchers.update({layer: counted(layer) for layer in norms})
    with keras_private.calls_replaced(watchers), keras.StatelessScope(_state(model)):
        model(keras_private.as_taken(model, images), training=True)
    return Inside([name for name, most in largest.items() if most == 0.0], values)


def _state(model: keras.Model) -> list[tuple[Any, Any]]:
    return [(one, keras.ops.convert_to_tensor(one.value)) for one in model.variables]


def _is_rectifier(layer: keras.layers.Layer) -> bool:
    if isinstance(layer, keras.layers.ReLU):
        return not layer.negative_slope
    return getattr(layer, "activation", None) in RECTIFIERS


def constant(images: Any) -> int:
    """How many of the images (batch, height, width, channels) have one value in each channel."""
    pixels = np.asarray(keras.ops.convert_to_numpy(images))
    if pixels.ndim != 4:
        return 0
    return int((pixels.min(axis=(1, 2)) == pixels.max(axis=(1, 2))).all(axis=-1).sum())


def unseen(counts: np.ndarray) -> list[int]:
    """The classes without a sample, where there were enough samples for that to mean something."""
    if counts.sum() < SAMPLES_PER_CLASS * len(counts):
        return []
    return np.flatnonzero(counts == 0).tolist()


def seen(model: keras.Model) -> np.ndarray | None:
    """How many samples of each class `Accuracy` has counted, where it is a metric of `model`."""
    for metric in model.metrics:
        for inner in getattr(metric, "metrics", [metric]):
            if isinstance(inner, Accuracy) and inner.seen is not None:
                return np.array(_value(inner.seen))
    return None


def not_finite(variables: Sequence[Any]) -> list[Any]:
    """The variables that hold NaN or infinity."""
    return [one for one in variables if not np.isfinite(_value(one).astype("f4")).all()]


def kernel_sizes(model: keras.Model) -> Sizes:
    """The norms of the kernels, which are the trainable variables with two axes or more."""
    kernels = [one for one in model.trainable_variables if len(one.shape) > 1]
    return [(one, float(np.linalg.norm(_value(one).astype("f4")))) for one in kernels]


def grown(before: Sizes, now: Sizes) -> list[Any]:
    """The kernels that are more than 1,000 times as large as before."""
    pairs = zip(before, now, strict=True)
    return [one for (one, old), (_, new) in pairs if 0 < GROWTH * old < new]


def first_not_finite(model: keras.Model) -> str | None:
    """The layer in which a training step met NaN or infinity first; None where it cannot be told.

    The gradients of such a step spoil all weights, but batch norms ahead of the place have taken
    finite statistics.
    """
    for layer in batch_norms([model]):
        if not_finite([layer.moving_mean, layer.moving_variance]):
            return layer.name
    return None
