"""The metric of the recipes."""

from typing import Any

import keras
from keras import ops

from keras_bottleneck.training.losses import has_class_indices


def _hits(y_true: Any, y_pred: Any) -> Any:
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    if has_class_indices(y_true, y_pred):
        return keras.metrics.sparse_categorical_accuracy(ops.reshape(y_true, (-1,)), y_pred)
    return keras.metrics.categorical_accuracy(y_true, y_pred)


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class Accuracy(keras.metrics.MeanMetricWrapper):
    """Share of samples whose largest prediction is the label, in [0, 1].

    Labels are integers or rows, as in `SmoothedCrossentropy`, and are looked at in every batch.
    Keras's "accuracy" settles on the kind of the first batch, so that a validation set with
    integer labels beside a mixed-up training set would be scored wrongly.

    Example:
        >>> accuracy = Accuracy()
        >>> accuracy.update_state([1, 0], [[0.1, 0.9], [0.2, 0.8]])
        >>> float(accuracy.result())
        0.5
    """

    def __init__(self, name: str = "accuracy", dtype: Any = None) -> None:
        super().__init__(_hits, name=name, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}
