"""The losses of the recipes: cross-entropy with smoothing and weights of the classes."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_bottleneck import checks


def has_class_indices(labels: Any, predictions: Any) -> bool:
    """True for labels of shape (batch,) or (batch, 1), False for (batch, classes) rows."""
    if len(labels.shape) < len(predictions.shape):
        return True
    return labels.shape[-1] == 1 and predictions.shape[-1] != 1


def class_rows(labels: Any, predictions: Any) -> Any:
    """Labels of either kind as float rows of shape (batch, classes)."""
    if not has_class_indices(labels, predictions):
        return ops.cast(labels, predictions.dtype)
    indices = ops.cast(ops.reshape(labels, (-1,)), "int32")
    return ops.one_hot(indices, predictions.shape[-1], dtype=predictions.dtype)


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy with label smoothing for integer **and** for one-hot or mixed labels.

    Keras smooths labels only in `CategoricalCrossentropy`, which refuses integers. Here labels
    are integers of shape (batch,) or (batch, 1), or rows of shape (batch, classes) that sum to
    one; predictions have shape (batch, classes). Values equal those of
    `keras.losses.CategoricalCrossentropy(label_smoothing=...)` on one-hot labels.

    Source: Szegedy et al. 2016, "Rethinking the Inception Architecture", section 7.

    Args:
        label_smoothing: Share of every label that is spread evenly over all classes, in [0, 1).
        from_logits: True where the predictions have not passed a softmax.
        class_weights: Factor on the loss of each class, (classes,), in the order of the outputs;
            mixed labels have those of their classes by their shares. None for 1.
        reduction: As in every `keras.losses.Loss`.
        name: As in every `keras.losses.Loss`.
        dtype: As in every `keras.losses.Loss`.

    Raises:
        ValueError: If `label_smoothing`, `from_logits` or a weight is out of range.

    Example:
        >>> import numpy as np
        >>> loss = SmoothedCrossentropy(label_smoothing=0.1)
        >>> value = loss(np.array([0, 2]), np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]]))
        >>> round(float(value), 3)
        0.362
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        from_logits: bool = False,
        class_weights: Sequence[float] | None = None,
        reduction: str = "sum_over_batch_size",
        name: str = "smoothed_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.label_smoothing = checks.number(
            "label_smoothing", label_smoothing, maximum=1.0, below=True
        )
        self.from_logits = checks.boolean("from_logits", from_logits)
        self.class_weights = _checked_weights(class_weights)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        rows = class_rows(y_true, y_pred)
        losses = keras.losses.categorical_crossentropy(
            rows, y_pred, from_logits=self.from_logits, label_smoothing=self.label_smoothing
        )
        if self.class_weights is None:
            return losses
        return losses * ops.matmul(rows, ops.cast(self.class_weights, rows.dtype))

    def get_config(self) -> dict[str, Any]:
        return _config(self, super().get_config())


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class SmoothedBinaryCrossentropy(keras.losses.Loss):
    """Cross-entropy of independent labels, each 0 or 1, with smoothing and weights of both.

    Labels are (batch,) for one column, or (batch, columns); predictions (batch, columns). Values
    equal those of `keras.losses.BinaryCrossentropy(label_smoothing=...)`.

    Args:
        label_smoothing: Share of every label that is spread evenly over 0 and 1, in [0, 1).
        from_logits: True where the predictions have not passed a sigmoid.
        class_weights: Factors on the loss of labels that are 0 and of those that are 1; None for 1.
        reduction: As in every `keras.losses.Loss`.
        name: As in every `keras.losses.Loss`.
        dtype: As in every `keras.losses.Loss`.

    Raises:
        ValueError: If `label_smoothing`, `from_logits` or a weight is out of range.

    Example:
        >>> import numpy as np
        >>> loss = SmoothedBinaryCrossentropy(class_weights=(1.0, 3.0))
        >>> value = loss(np.array([0.0, 1.0]), np.array([[0.5], [0.5]]))
        >>> round(float(value), 3)
        1.386
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        from_logits: bool = False,
        class_weights: Sequence[float] | None = None,
        reduction: str = "sum_over_batch_size",
        name: str = "smoothed_binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.label_smoothing = checks.number(
            "label_smoothing", label_smoothing, maximum=1.0, below=True
        )
        self.from_logits = checks.boolean("from_logits", from_logits)
        self.class_weights = _checked_weights(class_weights)
        if self.class_weights is not None and len(self.class_weights) != 2:
            accepted = "two weights, of the labels 0 and 1"
            raise checks.reject("class_weights", list(self.class_weights), accepted)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        labels = ops.reshape(ops.cast(y_true, y_pred.dtype), ops.shape(y_pred))
        if self.class_weights is None:
            return keras.losses.binary_crossentropy(
                labels, y_pred, self.from_logits, self.label_smoothing
            )
        # Keras returns the mean over the columns, of which each has a weight of its own here.
        losses = keras.losses.binary_crossentropy(
            labels[..., None], y_pred[..., None], self.from_logits, self.label_smoothing
        )
        no, yes = self.class_weights
        return ops.mean(losses * (no + (yes - no) * labels), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return _config(self, super().get_config())


def _checked_weights(weights: Any) -> tuple[float, ...] | None:
    if weights is None:
        return None
    return tuple(checks.number("class_weights", weight) for weight in weights)


def _config(loss: Any, config: dict[str, Any]) -> dict[str, Any]:
    """What a loss is made from; weights only where it has some, as files from before had none."""
    config |= {"label_smoothing": loss.label_smoothing, "from_logits": loss.from_logits}
    if loss.class_weights is not None:
        config["class_weights"] = loss.class_weights
    return config
