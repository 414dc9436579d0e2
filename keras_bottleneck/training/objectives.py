"""What each task is trained with: its loss, its metric, and the labels that it takes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_bottleneck import checks
from keras_bottleneck.samples import unlike_labels
from keras_bottleneck.tasks import CLASSIFICATION, MULTI_LABEL, REGRESSION, task_of
from keras_bottleneck.training.losses import SmoothedBinaryCrossentropy, SmoothedCrossentropy
from keras_bottleneck.training.metrics import Accuracy
from keras_bottleneck.training.outputs import Head, head_of

REGRESSION_LOSSES = {
    "mean_squared_error": keras.losses.MeanSquaredError,
    "huber": keras.losses.Huber,
}


@dataclass(frozen=True)
class Objective:
    """How a task is trained.

    Attributes:
        loss: From the head, the share of label smoothing, the weights of the classes (or None) and
            the name of a regression's loss, to a Keras loss.
        metric: From the head to the metric beside the loss.
        activations: What its heads may end in; None for anything.
        misfit: From labels and the head to what is wrong with them, in words; None for nothing.
        labels: From the head to the labels that it takes, in words.
    """

    loss: Callable[[Head, float, Sequence[float] | None, str], keras.losses.Loss]
    metric: Callable[[Head], keras.metrics.Metric]
    activations: tuple[str, ...] | None
    misfit: Callable[[np.ndarray, Head], str | None]
    labels: Callable[[Head], str]


def told(model: keras.Model, labels: Any, task: str | None) -> str:
    """The task of `model`: `task`, or that which its head and its labels tell.

    Args:
        model: A functional or Sequential model with one output, (batch, columns).
        labels: A batch of labels, or all; None where they are not known.
        task: That which the user has named, or None.

    Raises:
        ValueError: If the head is none of that task.
    """
    head = head_of(model)
    told = task or task_of(head.activation, head.width, labels)
    accepted = OBJECTIVES[told].activations
    too_narrow = told == CLASSIFICATION and head.activation == "softmax" and head.width == 1
    if (accepted and head.activation not in accepted) or too_narrow:
        names = {"linear": "a layer without activation"}
        words = " or ".join(names.get(name, f"a {name}") for name in accepted or ())
        raise ValueError(
            f"`model` must end in {words} for {told}. Received: {head.activation!r} with "
            f"{head.width} outputs in layer {head.layer!r}"
        )
    return told


def check_labels(model: keras.Model, labels: Any, task: str, name: str = "train") -> None:
    """Refuses labels that the model has no output for.

    Args:
        model: As for `told`.
        labels: Array of them: for a classification integers, (batch,) or (batch, 1), or rows of
            shares, (batch, classes); else rows, (batch, columns), or (batch,) for one column.
        task: One of `TASKS`.
        name: The argument that they are part of, for errors.

    Raises:
        ValueError: If labels are no finite numbers, or do not fit the task or the number of
            outputs. Left alone, such labels train a wrong model without any error.
    """
    head, objective = head_of(model), OBJECTIVES[task]
    values = np.asarray(labels)
    received = _no_numbers(values) or objective.misfit(values, head)
    if received:
        raise ValueError(
            f"`{name}` must have {objective.labels(head)}, because model {model.name!r} "
            f"{_what_it_has(head, task)}. Received: {received}"
        )


def _what_it_has(head: Head, task: str) -> str:
    if task == CLASSIFICATION:
        return f"has {head.classes} classes"
    outputs = "output" if head.width == 1 else "outputs"
    return f"has {head.width} {outputs} for {task}"


def _no_numbers(values: np.ndarray) -> str | None:
    if values.size and values.dtype.kind in "OSU":
        return f"labels that are no numbers, such as {str(values.flat[0])!r}"
    if values.size and values.dtype.kind == "f" and not np.isfinite(values).all():
        return "labels with NaN or infinity"
    return None


def _unlike_classes(values: np.ndarray, head: Head) -> str | None:
    if values.ndim == 2 and values.shape[1] != 1:
        if head.width == 1 or values.shape[1] != head.width:
            return f"rows of {values.shape[1]} values"
        return unlike_labels(values)
    if values.size and not (values.min() >= 0 and values.max() < head.classes):
        return f"labels from {values.min()} to {values.max()}"
    return unlike_labels(values)


def _unlike_rows(values: np.ndarray, head: Head) -> str | None:
    columns = 1 if values.ndim == 1 else values.shape[-1]
    if values.ndim > 2 or columns != head.width:
        shown = "numbers" if values.ndim == 1 else f"rows of {columns} values"
        return shown if values.ndim < 3 else f"labels of shape {values.shape}"
    return None


def _unlike_several(values: np.ndarray, head: Head) -> str | None:
    if problem := _unlike_rows(values, head):
        return problem
    # What a mix of two images has is in between.
    odd = values[(values < 0) | (values > 1)]
    return f"labels such as {odd.flat[0]:g}" if odd.size else None


def _class_labels(head: Head) -> str:
    rows = f" (or rows of {head.width} values)" if head.width > 1 else ""
    return f"labels from 0 to {head.classes - 1}{rows}"


def _cross_entropy(
    head: Head, smoothing: float, weights: Sequence[float] | None, _: str
) -> keras.losses.Loss:
    kind = SmoothedBinaryCrossentropy if head.width == 1 else SmoothedCrossentropy
    return kind(smoothing, from_logits=head.activation == "linear", class_weights=weights)


def _of_each_label(
    head: Head, smoothing: float, weights: Sequence[float] | None, _: str
) -> keras.losses.Loss:
    if weights is not None:
        raise checks.reject("class_weights", list(weights), f"None for {MULTI_LABEL}")
    return SmoothedBinaryCrossentropy(smoothing, from_logits=head.activation == "linear")


def _of_numbers(
    head: Head, smoothing: float, weights: Sequence[float] | None, name: str
) -> keras.losses.Loss:
    if weights is not None:
        raise checks.reject("class_weights", list(weights), f"None for {REGRESSION}")
    return REGRESSION_LOSSES[name]()


def _accuracy(head: Head) -> keras.metrics.Metric:
    # Of a single output, what is above this is the second class.
    threshold = None if head.width > 1 else 0.0 if head.activation == "linear" else 0.5
    return Accuracy(classes=head.classes, threshold=threshold)


def _label_accuracy(head: Head) -> keras.metrics.Metric:
    threshold = 0.0 if head.activation == "linear" else 0.5
    return keras.metrics.BinaryAccuracy(name="accuracy", threshold=threshold)


OBJECTIVES = {
    CLASSIFICATION: Objective(
        _cross_entropy, _accuracy, ("softmax", "sigmoid", "linear"), _unlike_classes, _class_labels
    ),
    MULTI_LABEL: Objective(
        _of_each_label,
        _label_accuracy,
        ("sigmoid", "linear"),
        _unlike_several,
        lambda head: f"rows of {head.width} labels, each 0 or 1",
    ),
    REGRESSION: Objective(
        _of_numbers,
        lambda head: keras.metrics.MeanAbsoluteError(name="mae"),
        None,
        _unlike_rows,
        lambda head: "numbers" if head.width == 1 else f"rows of {head.width} numbers",
    ),
}
