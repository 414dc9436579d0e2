"""The labels that a model can be compared with."""

import keras

from keras_bottleneck.evaluation.answers import Array


def shape_of_labels(model: keras.Model, output_name: str) -> tuple[int | None, ...]:
    """The shape of an image's labels: (), or that of the mask where each pixel has a class."""
    return () if output_name == "features" else tuple(model.outputs[0].shape[1:-1])


def check_labels(labels: Array, classes: int) -> None:
    """Raise ValueError unless all `labels` are class indices below `classes`."""
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"`data` must have labels of the model's {classes} classes. Received: labels from "
            f"{labels.min()} to {labels.max()}"
        )
