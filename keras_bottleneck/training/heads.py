"""A head for other classes, labels or numbers, on the features of a trained network."""

from typing import Any

import keras
import numpy as np

from keras_bottleneck import checks, keras_private
from keras_bottleneck.graph.rebuild import functional
from keras_bottleneck.image_model import carrying, model_preprocessing
from keras_bottleneck.training.outputs import head_of, output_layers


def with_new_head(
    model: keras.Model, classes: int, activation: str | None = "softmax"
) -> keras.Model:
    """`model` with a fresh head for `classes` classes, as fine-tuning begins with.

    All other layers are those of `model` itself, not copies.

    Args:
        model: A functional or built Sequential model that ends in a dense layer.
        classes: Outputs of the new one.
        activation: "softmax" over classes, "sigmoid" for labels of their own, or None for numbers
            (or logits).

    Returns:
        A functional model with the name and preprocessing of `model`.

    Raises:
        ValueError: If `model` ends in anything else, or `activation` is another.

    Example:
        >>> from keras_bottleneck.models import ResNet18
        >>> with_new_head(ResNet18(classes=10), classes=3).output_shape
        (None, 3)
    """
    head_of(model)
    checks.one_of("activation", activation, ("softmax", "sigmoid", None))
    checks.integer("classes", classes, minimum=2 if activation == "softmax" else 1)
    network = functional(model)
    last = output_layers(network)[-1]
    if isinstance(last, keras.layers.Rescaling):
        last = keras_private.maker(last.input)
    if not isinstance(last, keras.layers.Dense):
        ends = f"a classifier that ends in a Dense layer (this one ends in {last.name!r})"
        raise checks.reject("model", model.name, ends)
    head = keras.layers.Dense(
        classes, activation=activation, dtype=last.dtype_policy, name=last.name
    )
    renewed = keras.Model(network.input, head(last.input), name=model.name)
    return carrying(renewed, model_preprocessing(model))


def in_units(model: keras.Model, numbers: Any) -> keras.Model:
    """A regression `model` that begins with the mean and the spread of what it is to predict.

    Its own outputs, near 0 at first, are scaled by a `Rescaling` layer, which exports fold into the
    dense layer before it. Without, the first epochs of a training would go into the unit: an
    optimizer such as Adam moves a bias of 40 years by a thousandth in each step.

    Args:
        model: Functional, with an output (batch, columns) without activation.
        numbers: Those to predict, (samples, columns).

    Returns:
        A functional model with the name and preprocessing of `model`.
    """
    rows = np.asarray(numbers, np.float64)
    spread = rows.std(0)
    scale = np.where(spread > 0, spread, 1.0).tolist()
    # Else Keras computes in the precision of the network.
    units = keras.layers.Rescaling(scale, rows.mean(0).tolist(), dtype="float32", name="units")
    whole = keras.Model(model.input, units(model.output), name=model.name)
    return carrying(whole, model_preprocessing(model))
