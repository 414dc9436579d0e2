"""Transposed convolutions in the forms that TensorFlow computes."""

from typing import Any

import keras
import numpy as np

from keras_bottleneck import keras_private
from keras_bottleneck.graph.flatten import flatten
from keras_bottleneck.graph.rebuild import Copies, copied, rebuild
from keras_bottleneck.keras_private import Call

TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)


def holds_dilated_transposed(model: keras.Model) -> bool:
    """Whether a layer of `model` is a transposed convolution with a dilated kernel."""
    return any(_is_dilated(layer) for layer in keras_private.sublayers(model))


def without_dilated_transposed(model: keras.Model) -> keras.Model:
    """A flat copy of `model` whose dilated transposed convolutions have plain, larger kernels.

    TensorFlow has no dilated transposed convolution on CPUs, and neither has TFLite. The kernel
    with zeros between its taps computes the same.

    Raises:
        ValueError: If `model` is subclassed or has no input shape yet.
    """
    copies = Copies()

    def visit(call: Call, args: Any, kwargs: Any) -> Any:
        make = _written_out if _is_dilated(call.operation) else copied
        return copies.call(call.operation, args, kwargs, make)

    return rebuild(flatten(model), visit)


def _is_dilated(layer: Any) -> bool:
    return type(layer) in TRANSPOSED and any(rate > 1 for rate in layer.dilation_rate)


def _written_out(layer: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
    steps = layer.dilation_rate
    spans = [(taps - 1) * step + 1 for taps, step in zip(layer.kernel_size, steps, strict=True)]
    changes = {"kernel_size": spans, "dilation_rate": 1}
    copy = type(layer).from_config({**layer.get_config(), **changes})
    outputs = copy(*args, **kwargs)
    kernel, *others = layer.get_weights()
    sparse = np.zeros((*spans, *kernel.shape[-2:]), kernel.dtype)
    sparse[tuple(slice(None, None, step) for step in steps)] = kernel
    copy.set_weights([sparse, *others])
    return copy, outputs
