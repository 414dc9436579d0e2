"""The classification loss of the recipes: cross-entropy for any label kind, with smoothing."""

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
        reduction: As in every `keras.losses.Loss`.
        name: As in every `keras.losses.Loss`.
        dtype: As in every `keras.losses.Loss`.

    Raises:
        ValueError: If `label_smoothing` or `from_logits` is out of range.

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
        reduction: str = "sum_over_batch_size",
        name: str = "smoothed_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.label_smoothing = checks.number(
            "label_smoothing", label_smoothing, maximum=1.0, below=True
        )
        self.from_logits = checks.boolean("from_logits", from_logits)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return keras.losses.categorical_crossentropy(
            class_rows(y_true, y_pred),
            y_pred,
            from_logits=self.from_logits,
            label_smoothing=self.label_smoothing,
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "label_smoothing": self.label_smoothing,
            "from_logits": self.from_logits,
        }
