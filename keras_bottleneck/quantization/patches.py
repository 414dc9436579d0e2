"""What a kernel sees: the inputs behind each output, and their second moments."""

from typing import Any

import keras
import numpy as np

from keras_bottleneck.graph.wiring import same_padding

Array = np.ndarray[Any, Any]

# How many output positions moments are taken over: with more, they stay the same.
POSITIONS = 100_000


def patches(layer: Any, x: Array) -> Array:
    """Inputs of each output position, (positions, height * width, channels).

    Args:
        layer: A Conv2D, DepthwiseConv2D or Dense.
        x: Its input, (N, height, width, channels) or (N, ..., channels).
    """
    if isinstance(layer, keras.layers.Dense):
        return x.reshape(-1, 1, x.shape[-1])
    windows = _windows(layer, x)
    return windows.reshape(-1, windows.shape[-2], windows.shape[-1])


def _windows(layer: Any, x: Array) -> Array:
    """(N, height, width, kernel height * kernel width, channels)."""
    pads = [(0, 0), (0, 0)]
    spans = [(k - 1) * d + 1 for k, d in zip(layer.kernel_size, layer.dilation_rate, strict=True)]
    if layer.padding == "same":
        kernels = zip(layer.kernel_size, layer.strides, layer.dilation_rate, strict=True)
        sides = zip(x.shape[1:3], kernels, strict=True)
        pads = [same_padding(size, *kernel) for size, kernel in sides]
    padded = np.pad(x, [(0, 0), *pads, (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, spans, axis=(1, 2))
    (down, right), (high, wide) = layer.strides, layer.dilation_rate
    windows = windows[:, ::down, ::right, :, ::high, ::wide]
    windows = np.moveaxis(windows, 3, -1)
    return windows.reshape(*windows.shape[:3], -1, windows.shape[-1])
