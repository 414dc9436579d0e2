"""Leaves layers in float until a quantized model is as accurate as is asked for."""

from typing import Any

import keras
import numpy as np

from keras_bottleneck.graph.endings import output_name
from keras_bottleneck.quantization.calibration import Options, calibrated
from keras_bottleneck.quantization.insertion import Insertion
from keras_bottleneck.quantization.observation import activations, spread
from keras_bottleneck.quantization.placement import Placement
from keras_bottleneck.quantization.primitive import primitive
from keras_bottleneck.quantization.report import QuantizationReport
from keras_bottleneck.quantization.sensitivity import measured
from keras_bottleneck.tasks import MULTI_LABEL

Array = np.ndarray[Any, Any]

# Images that the sensitivity of the layers is measured on.
SENSITIVITY_IMAGES = 16


def keep(
    model: keras.Model,
    insertion: Insertion,
    report: QuantizationReport,
    images: Array,
    labels: Array | None,
    task: str,
    options: Options,
    loss: float,
) -> tuple[Insertion, QuantizationReport]:
    """A calibrated model that loses no more than `loss` of the float model's accuracy.

    One, two, four, ... of the most sensitive layers are left in float.

    Args:
        model: The float model.
        insertion: The quantized model, calibrated.
        report: What its calibration measured.
        images: (N, height, width, channels).
        labels: (N,) class indices, or of several labels (N, labels) of 0 and 1; None to take the
            float model's answers for them.
        task: "classification" or "multi-label".
        options: How to calibrate.
        loss: Part of the accuracy that may be lost, from 0 to 1.
    """
    answers = _answers(model, images, task)
    truth = answers if labels is None else labels
    width = model.outputs[0].shape[-1]
    # A single output is that of the second of two classes.
    classes = max(2, width)
    if task == MULTI_LABEL and truth.shape[1] != width:
        raise ValueError(
            f"`calibration` must have rows of {width} labels for `keep_accuracy`. Received: "
            f"rows of {truth.shape[1]}"
        )
    if truth.min() < 0 or truth.max() >= classes:
        raise ValueError(
            f"`calibration` must have labels of the {classes} classes for `keep_accuracy`. "
            f"Received: labels from {truth.min()} to {truth.max()}"
        )
    wanted = np.mean(answers == truth) - loss
    first = report.in_float
    ranking: tuple[str, ...] = ()
    kept = 0
    while np.mean(_answers(insertion.model, images, task) == truth) < wanted:
        if not ranking:
            sensitivity = measured(insertion, spread(images, SENSITIVITY_IMAGES))
            ranking = sensitivity.worst(len(sensitivity.layers))
        kept = min(max(1, 2 * kept), len(ranking))
        skip = (*first, *ranking[:kept])
        insertion, report = calibrated(Placement(primitive(model), skip), images, options)
        if kept == len(ranking):
            break
    return insertion, report


def _answers(model: keras.Model, images: Array, task: str) -> Array:
    """The top-1 class of each image, (N,), or 0 or 1 for each of its labels, (N, labels)."""
    batches = activations(model, model.outputs, images, "evaluate")
    outputs = np.concatenate([batch for (batch,) in batches])
    threshold = 0.5 if output_name(model) == "probabilities" else 0.0
    if task == MULTI_LABEL:
        return (outputs > threshold).astype(np.int64)
    if outputs.shape[-1] == 1:
        return (outputs[:, 0] > threshold).astype(np.int64)
    return np.asarray(outputs.argmax(-1))
