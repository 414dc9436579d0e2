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


def computable(model: keras.Model) -> keras.Model:
    """`model` itself, or a flat copy whose transposed convolutions have no dilated kernels.

    TensorFlow has no dilated transposed convolution on CPUs, and neither has TFLite. The kernel
    with zeros between its taps computes the same.

    Raises:
        ValueError: If TensorFlow cannot compute a transposed convolution in any form.
    """
    layers = keras_private.sublayers(model)
    cut = next((layer for layer in layers if _is_cut(layer)), None)
    if cut is not None and keras.config.backend() == "tensorflow":
        raise ValueError(
            "`model` must hold no transposed convolution with padding='same', an even kernel and "
            f"`output_padding` 0, which TensorFlow does not compute. Received: model={model.name!r}"
            f" with layer {cut.name!r}"
        )
    if not any(map(_is_dilated, layers)):
        return model
    copies = Copies()

    def visit(call: Call, args: Any, kwargs: Any) -> Any:
        make = _written_out if _is_dilated(call.operation) else copied
        return copies.call(call.operation, args, kwargs, make)

    return rebuild(flatten(model), visit)


def _is_cut(layer: Any) -> bool:
    """Whether `layer` makes fewer outputs along an axis than its stride gives room for."""
    if type(layer) not in TRANSPOSED or layer.padding != "same" or layer.output_padding is None:
        return False
    extra = layer.output_padding
    extras = (extra,) * len(layer.kernel_size) if isinstance(extra, int) else extra
    return any(not more and span % 2 == 0 for more, span in zip(extras, _spans(layer), strict=True))


def _spans(layer: Any) -> list[int]:
    """How far the kernel reaches along each axis."""
    sides = zip(layer.kernel_size, layer.dilation_rate, strict=True)
    return [(taps - 1) * step + 1 for taps, step in sides]


def _is_dilated(layer: Any) -> bool:
    return type(layer) in TRANSPOSED and any(rate > 1 for rate in layer.dilation_rate)


def _written_out(layer: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
    spans = _spans(layer)
    changes = {"kernel_size": spans, "dilation_rate": 1}
    copy = type(layer).from_config({**layer.get_config(), **changes})
    outputs = copy(*args, **kwargs)
    kernel, *others = layer.get_weights()
    sparse = np.zeros((*spans, *kernel.shape[-2:]), kernel.dtype)
    sparse[tuple(slice(None, None, step) for step in layer.dilation_rate)] = kernel
    copy.set_weights([sparse, *others])
    return copy, outputs
