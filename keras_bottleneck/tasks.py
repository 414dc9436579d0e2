"""The tasks of image models, by what an image's labels are. Needs numpy only."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from keras_bottleneck import checks

CLASSIFICATION = "classification"
MULTI_LABEL = "multi-label"
REGRESSION = "regression"
# What the labels of one image are.
TASKS = {
    CLASSIFICATION: "the index of its class, or a row of shares of the classes",
    MULTI_LABEL: "a row of 0 and 1, one for each label",
    REGRESSION: "one finite number or more",
}


class Metric(NamedTuple):
    """The figure that is shown beside the loss of a training.

    Attributes:
        name: In metrics.csv.
        title: What people read.
        text: The figure as it is written.
    """

    name: str
    title: str
    text: Callable[[float], str]


METRICS = {
    CLASSIFICATION: Metric("accuracy", "accuracy", "{:.1%}".format),
    MULTI_LABEL: Metric("accuracy", "accuracy of the labels", "{:.1%}".format),
    REGRESSION: Metric("mae", "mean absolute error", "{:.4g}".format),
}
# By how much rows of shares, rounded to 16 bits, may miss 1.
ROUNDING = 0.01


def checked_task(task: Any) -> str | None:
    """`task`, if it is a name out of `TASKS`, or None for that which the head and labels tell."""
    return None if task is None else checks.one_of("task", task, tuple(TASKS))


def task_of(activation: str, width: int, labels: Any = None) -> str:
    """The task that a model's head and its labels tell.

    Args:
        activation: What the head ends in: "softmax", "sigmoid", "linear" or another.
        width: Columns of the output.
        labels: A batch of labels, or all; None where they are not known.

    Example:
        >>> task_of("sigmoid", 1), task_of("sigmoid", 3)
        ('classification', 'multi-label')
        >>> task_of("linear", 1, np.array([0.3, 7.1]))
        'regression'
    """
    shape = None if labels is None else np.shape(labels)
    indices = shape is not None and width > 1 and (len(shape) == 1 or shape[1:] == (1,))
    if activation == "softmax" or indices:
        return CLASSIFICATION
    if activation == "sigmoid":
        return CLASSIFICATION if width == 1 else MULTI_LABEL
    if activation != "linear":
        return REGRESSION
    if labels is None:
        return REGRESSION if width == 1 else CLASSIFICATION
    values = np.asarray(labels)
    if values.dtype.kind in "OSU":
        return CLASSIFICATION
    if width == 1:
        whole = values.dtype.kind in "iub"
        return CLASSIFICATION if whole and np.isin(values, (0, 1)).all() else REGRESSION
    if values.ndim != 2 or are_shares(values):
        return CLASSIFICATION
    return MULTI_LABEL if np.isin(values, (0, 1)).all() else REGRESSION


def are_shares(rows: np.ndarray) -> bool:
    """Whether each row of (N, classes) numbers has shares of the classes: from 0 on, 1 in all.

    Example:
        >>> are_shares(np.array([[0.2, 0.8], [1.0, 0.0]])), are_shares(np.array([[1, 1]]))
        (True, False)
    """
    return not unlike_shares(rows).any()


def unlike_shares(rows: np.ndarray) -> np.ndarray:
    """Which of (N, classes) rows have a number below 0, or do not sum to 1: bool (N,)."""
    values = rows.astype(np.float64)
    return np.asarray((values < 0).any(-1) | ~(abs(values.sum(-1) - 1) <= ROUNDING))
