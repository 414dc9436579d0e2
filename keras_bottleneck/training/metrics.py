"""The metric of the recipes."""

from typing import Any

import keras
from keras import ops

from keras_bottleneck import checks
from keras_bottleneck.training.losses import has_class_indices


def _hits(y_true: Any, y_pred: Any, threshold: float | None = None) -> Any:
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    if threshold is not None:
        labels = ops.reshape(y_true, ops.shape(y_pred))
        return keras.metrics.binary_accuracy(labels, y_pred, threshold)
    if has_class_indices(y_true, y_pred):
        return keras.metrics.sparse_categorical_accuracy(ops.reshape(y_true, (-1,)), y_pred)
    return keras.metrics.categorical_accuracy(y_true, y_pred)


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class Accuracy(keras.metrics.MeanMetricWrapper):
    """Share of samples whose largest prediction is the label, in [0, 1].

    Labels are integers or rows, as in `SmoothedCrossentropy`, and are looked at in every batch.
    Keras's "accuracy" settles on the kind of the first batch, so that a validation set with
    integer labels beside a mixed-up training set would be scored wrongly.

    Args:
        name: As in every `keras.metrics.Metric`.
        dtype: As in every `keras.metrics.Metric`.
        classes: How many there are, if `seen` is wanted.
        threshold: Of a model with a single output, what it must exceed for the second of two
            classes: 0.5 of a sigmoid, 0 of logits; None for a column for each class.

    Attributes:
        seen: How many samples there were of each class since the last reset, float32 (classes,);
            of mixed labels, the largest share counts. None without `classes`.

    Raises:
        ValueError: If `classes` is no integer of at least 2.

    Example:
        >>> accuracy = Accuracy()
        >>> accuracy.update_state([1, 0], [[0.1, 0.9], [0.2, 0.8]])
        >>> float(accuracy.result())
        0.5
    """

    def __init__(
        self,
        name: str = "accuracy",
        dtype: Any = None,
        classes: int | None = None,
        threshold: float | None = None,
    ) -> None:
        super().__init__(_hits, name=name, dtype=dtype, threshold=threshold)
        self.threshold = threshold
        self.classes = None if classes is None else checks.integer("classes", classes, minimum=2)
        self.seen: Any = None
        if classes is not None:
            self.seen = self.add_variable((classes,), "zeros", "float32", name="seen")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        super().update_state(y_true, y_pred, sample_weight)
        if self.seen is None:
            return
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        sparse = has_class_indices(y_true, y_pred) or self.threshold is not None
        indices = ops.reshape(
            ops.cast(y_true, "int32") if sparse else ops.argmax(y_true, -1), (-1,)
        )
        of_each = ops.sum(ops.one_hot(indices, self.classes, dtype="float32"), axis=0)
        self.seen.assign_add(of_each)

    def reset_state(self) -> None:
        super().reset_state()  # which knows total and count alone
        if self.seen is not None:
            self.seen.assign(ops.zeros(self.seen.shape))

    def get_config(self) -> dict[str, Any]:
        config = {"name": self.name, "dtype": self.dtype, "classes": self.classes}
        return config if self.threshold is None else {**config, "threshold": self.threshold}
