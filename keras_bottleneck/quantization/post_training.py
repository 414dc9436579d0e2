"""`quantize`: from a float network to one that computes as int8 runtimes do."""

import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_bottleneck import checks, graph, samples
from keras_bottleneck.graph.cast import half_precision
from keras_bottleneck.graph.rebuild import functional
from keras_bottleneck.quantization.calibrators import CALIBRATORS, calibrate
from keras_bottleneck.quantization.equalization import equalize_channels
from keras_bottleneck.quantization.histogram import Histogram
from keras_bottleneck.quantization.insertion import Insertion
from keras_bottleneck.quantization.observation import observe_histograms
from keras_bottleneck.quantization.placement import Placement
from keras_bottleneck.quantization.primitive import primitive
from keras_bottleneck.quantization.quantizers import is_quantized
from keras_bottleneck.quantization.reconstruction import reconstruct
from keras_bottleneck.quantization.report import Kernel, QuantizationReport, Range

Array = np.ndarray[Any, Any]

ROUNDINGS = ("nearest", "adaptive")
ENOUGH_IMAGES = 100
# Inputs between 0 and 255 that pass half of that are pixels as they come from a file.
PIXELS = (0.0, 255.0)
# A kernel this much smaller than the largest of its layer does nothing.
DEAD = 1e-6


def quantize(
    model: keras.Model,
    calibration: Any,
    *,
    calibrator: str = "mse",
    equalize: bool = True,
    bias_correction: bool = True,
    rounding: str = "nearest",
    skip: Sequence[str] | str = (),
    images: int = 512,
) -> keras.Model:
    """A Keras model that computes what int8 runtimes compute.

    The network is flattened and folded; fake quantizers round its activations to 8 bits, kernels
    lie on int8 grids (per output channel; per tensor in dense and transposed convolutions) and
    biases on int32 grids. The result can be evaluated, saved, exported by `export_model` as
    TFLite and ONNX with these same scales, and fine-tuned with `fit`: that is
    quantization-aware training. See `QuantizationSchedule` and `distill`.

    Args:
        model: A functional or built `Sequential` model of images, float; it stays untouched. The
            result computes in its precision.
        calibration: What the ranges are measured on: a dataset of batches (images, labels) or
            images, or such arrays, as the model takes them. Inputs between 0 and 255 are taken
            for raw pixels and get exactly that range.
        calibrator: How a range is chosen: `"mse"` (least squared error), `"minmax"`,
            `"percentile"` (99.99%) or `"entropy"` (least divergence).
        equalize: Whether to scale channels against each other where that lowers the noise.
        bias_correction: Whether to correct the mean error of each kernel's outputs.
        rounding: `"nearest"`, or `"adaptive"`: codes chosen for the outputs they make, with
            more calibration time; worth it from some fifty images on.
        skip: Names of layers, or of blocks, to leave in float; `"unsupported"` for those that
            int8 runtimes do not have.
        images: How many calibration images are used at the most.

    Returns:
        A functional model with the inputs and outputs of `model`, not compiled. What was
        measured is its `quantization_report`; printing that shows a table.

    Raises:
        ValueError: If an argument is wrong, `model` is subclassed, quantized already or has
            more than one input, a layer cannot be quantized (named before any work is done), or
            `calibration` is empty or holds no finite images of the model's shape.

    Source: Jacob et al. 2018; equalization and bias correction are Nagel et al. 2019; adaptive
    rounding is after Frantar et al. 2022.

    Example:
        >>> from keras_bottleneck.models import ResNet
        >>> model = ResNet("basic", (1,), filters=(8,), stem="cifar", input_shape=(16, 16, 3))
        >>> photographs = np.random.default_rng(0).normal(size=(100, 16, 16, 3))
        >>> quantized = quantize(model, photographs)
        >>> quantized.quantization_report.images
        100
    """
    network = _checked_model(model)
    checks.one_of("calibrator", calibrator, CALIBRATORS)
    checks.one_of("rounding", rounding, ROUNDINGS)
    checks.boolean("equalize", equalize)
    checks.boolean("bias_correction", bias_correction)
    limit = checks.integer("images", images)
    policy = half_precision(network)
    placement = Placement(primitive(graph.cast(network) if policy else network), skip)
    found, _ = samples.read("calibration", calibration, network.inputs[0].shape, limit)
    if len(found) < ENOUGH_IMAGES:
        warnings.warn(
            f"quantize calibrates on {len(found)} images: ranges are better from "
            f"{ENOUGH_IMAGES} on.",
            stacklevel=2,
        )
    if equalize:
        equalize_channels(placement, found)
    insertion = Insertion(placement)
    ranges = _calibrate(insertion, found, calibrator)
    noise = reconstruct(insertion, found, rounding == "adaptive", bias_correction)
    result = graph.cast(insertion.model, policy) if policy else insertion.model
    result.quantization_report = QuantizationReport(
        images=len(found),
        ranges=ranges,
        kernels=tuple(_described(layer, sqnr) for layer, sqnr in noise),
        in_float=placement.names_in_float,
    )
    return result


def _checked_model(model: Any) -> keras.Model:
    network = functional(model)
    if is_quantized(network):
        raise ValueError(
            f"`model` must be a float model. Received: model={network.name!r}, which is quantized"
        )
    shapes = [tensor.shape for tensor in network.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][-1] is None:
        raise ValueError(
            "`model` must have one input (batch, height, width, channels). "
            f"Received: model={network.name!r} with inputs {shapes}"
        )
    return network


def _calibrate(insertion: Insertion, images: Array, calibrator: str) -> tuple[Range, ...]:
    """Set the range of every quantizer."""
    placement = insertion.placement
    tensors = placement.rounded_tensors
    merged: dict[int, Histogram] = {}
    for tensor, seen in zip(
        tensors, observe_histograms(placement.model, tensors, images), strict=True
    ):
        group = placement.group(tensor)
        merged[group] = merged[group].merge(seen) if group in merged else seen
    first = placement.group(placement.model.inputs[0])
    ranges = []
    for group, quantizer in insertion.quantizers.items():
        seen = merged[group]
        found = placement.fixed_range(group)
        if found is None and group == first:
            found = _input_range(seen)
        low, high = found or calibrate(seen, calibrator)
        quantizer.set_range(low, high)
        ranges.append(Range(quantizer.name, low, high, _outside(seen, low, high)))
    return tuple(ranges)


def _input_range(seen: Histogram) -> tuple[float, float]:
    """The whole range of what the model takes: a picture's black and white are no outliers."""
    low, high = PIXELS
    pixels = seen.minimum >= low and high / 2 < seen.maximum <= high
    return PIXELS if pixels else calibrate(seen, "minmax")


def _outside(seen: Histogram, low: float, high: float) -> float:
    """The part of the values that is more than half a step outside of the range."""
    half = (high - low) / 255 / 2
    values, counts = seen.values, seen.counts
    outside = (values < low - half) | (values > high + half)
    return float(counts[outside].sum() / seen.count)


def _described(layer: Any, sqnr: float) -> Kernel:
    kernel = np.abs(keras.ops.convert_to_numpy(layer.kernel))
    others = tuple(i for i in range(kernel.ndim) if i != layer.CHANNEL_AXIS % kernel.ndim)
    largest = kernel.max(others)
    return Kernel(layer.name, len(largest), int(np.sum(largest <= DEAD * largest.max())), sqnr)
