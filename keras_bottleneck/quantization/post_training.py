"""`quantize`: from a float network to one that computes as int8 runtimes do."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_bottleneck import checks, samples
from keras_bottleneck.graph.rebuild import functional
from keras_bottleneck.quantization.calibrators import CALIBRATORS, calibrate
from keras_bottleneck.quantization.equalization import equalize as equalized
from keras_bottleneck.quantization.histogram import Histogram
from keras_bottleneck.quantization.insertion import Insertion
from keras_bottleneck.quantization.observation import observe_histograms
from keras_bottleneck.quantization.placement import FIXED_RANGES, Placement
from keras_bottleneck.quantization.primitive import primitive
from keras_bottleneck.quantization.reconstruction import reconstruct

Array = np.ndarray[Any, Any]
ROUNDINGS = ("nearest", "adaptive")


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
    """X"""
    network = functional(model)
    checks.one_of("calibrator", calibrator, CALIBRATORS)
    checks.one_of("rounding", rounding, ROUNDINGS)
    placement = Placement(primitive(network), skip)
    found, _ = samples.read("calibration", calibration, network.inputs[0].shape, images)
    if equalize:
        equalized(placement, found)
    insertion = Insertion(placement)
    _calibrate(insertion, found, calibrator)
    reconstruct(insertion, found, rounding == "adaptive", bias_correction)
    return insertion.model


def _calibrate(insertion: Insertion, images: Array, calibrator: str) -> None:
    placement = insertion.placement
    tensors = [*placement.model.inputs]
    tensors += [tensor for call in placement.calls for tensor in call.outputs]
    tensors = [tensor for tensor in tensors if id(tensor) in placement.rounded]
    histograms = observe_histograms(placement.model, tensors, images)
    merged: dict[int, Histogram] = {}
    for tensor, histogram in zip(tensors, histograms, strict=True):
        group = placement.group(tensor)
        merged[group] = merged[group].merge(histogram) if group in merged else histogram
    inputs = {placement.group(tensor) for tensor in placement.model.inputs}
    for group, quantizer in insertion.quantizers.items():
        if quantizer.fixed:
            low, high = next(
                FIXED_RANGES[r] for k, r in placement.fixed.items() if placement._root(k) == group
            )
        elif group in inputs:
            low, high = _pixels(merged[group])
        else:
            low, high = calibrate(merged[group], calibrator)
        quantizer.set_range(low, high)


def _pixels(h: Histogram) -> tuple[float, float]:
    if h.minimum >= 0 and 128 < h.maximum <= 255:
        return 0.0, 255.0
    return calibrate(h, "minmax")
