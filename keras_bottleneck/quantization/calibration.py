"""A float network, quantized and calibrated on images that were read already."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_bottleneck.quantization.calibrators import calibrate
from keras_bottleneck.quantization.equalization import equalize_channels
from keras_bottleneck.quantization.fake_quant import step_of
from keras_bottleneck.quantization.histogram import Histogram
from keras_bottleneck.quantization.insertion import Insertion
from keras_bottleneck.quantization.observation import observe_histograms
from keras_bottleneck.quantization.placement import Placement
from keras_bottleneck.quantization.reconstruction import reconstruct
from keras_bottleneck.quantization.report import Kernel, QuantizationReport, Range

Array = np.ndarray[Any, Any]

# Inputs between 0 and 255 that pass half of that are pixels as they come from a file.
PIXELS = (0.0, 255.0)
# A kernel this much smaller than the largest of its layer does nothing.
DEAD = 1e-6


@dataclass(frozen=True)
class Options:
    """The arguments of `quantize` that say how; they are explained there."""

    calibrator: str = "mse"
    equalize: bool = True
    bias_correction: bool = True
    rounding: str = "nearest"
    reduce_range: bool = True


def calibrated(
    placement: Placement, images: Array, options: Options
) -> tuple[Insertion, QuantizationReport]:
    """The quantized model with its ranges, kernels and biases set, and what was measured.

    Args:
        placement: Where the quantizers of a primitive network go; equalization changes its
            kernels.
        images: (N, height, width, channels) inputs of the network.
        options: How to calibrate.
    """
    if options.equalize:
        equalize_channels(placement, images)
    insertion = Insertion(placement, options.reduce_range)
    ranges = _set_ranges(insertion, images, options.calibrator)
    adaptive = options.rounding == "adaptive"
    noise = reconstruct(insertion, images, adaptive, options.bias_correction)
    return insertion, QuantizationReport(
        images=len(images),
        ranges=ranges,
        kernels=tuple(_described(layer, sqnr) for layer, sqnr in noise),
        in_float=placement.names_in_float,
    )


def _set_ranges(insertion: Insertion, images: Array, calibrator: str) -> tuple[Range, ...]:
    """Choose the range of every quantizer from the values that it is to round."""
    placement = insertion.placement
    tensors = placement.rounded_tensors
    merged: dict[int, Histogram] = {}
    for tensor, histogram in zip(
        tensors, observe_histograms(placement.model, tensors, images), strict=True
    ):
        group = placement.group(tensor)
        merged[group] = merged[group].merge(histogram) if group in merged else histogram
    first = placement.group(placement.model.inputs[0])
    ranges = []
    for group, quantizer in insertion.quantizers.items():
        histogram = merged[group]
        limits = placement.fixed_range(group)
        if limits is None and group == first:
            limits = _input_range(histogram)
        low, high = limits or calibrate(histogram, calibrator)
        quantizer.set_range(low, high)
        quantizer.fixed = quantizer.fixed or (low, high) == PIXELS
        ranges.append(Range(quantizer.name, low, high, _outside(histogram, low, high)))
    return tuple(ranges)


def _input_range(histogram: Histogram) -> tuple[float, float]:
    """The whole range of what the model takes: a picture's black and white are no outliers."""
    low, high = PIXELS
    pixels = histogram.minimum >= low and high / 2 < histogram.maximum <= high
    return PIXELS if pixels else calibrate(histogram, "minmax")


def _outside(histogram: Histogram, low: float, high: float) -> float:
    """The part of the values that is more than half a step outside of the range."""
    half = step_of(low, high) / 2
    values, counts = histogram.values, histogram.counts
    outside = (values < low - half) | (values > high + half)
    return float(counts[outside].sum() / histogram.count)


def _described(layer: Any, sqnr: float) -> Kernel:
    kernel = np.abs(keras.ops.convert_to_numpy(layer.kernel))
    others = tuple(i for i in range(kernel.ndim) if i != layer.CHANNEL_AXIS % kernel.ndim)
    largest = kernel.max(others)
    return Kernel(layer.name, len(largest), int(np.sum(largest <= DEAD * largest.max())), sqnr)
