"""What a classifier ends in: how many classes, softmax or logits, made by which layers."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_bottleneck import checks
from keras_bottleneck.data.samples import unlike_labels
from keras_bottleneck.keras_private import calls


def class_count(model: keras.Model) -> int:
    """The number of classes of a classifier: the width of its only output, (batch, classes).

    Raises:
        ValueError: If `model` is no Keras model, is not built, or its output is no row of two or
            more classes.
    """
    if not isinstance(model, keras.Model):
        raise checks.reject("model", model, "a functional or Sequential Keras model")
    outputs = getattr(model, "outputs", None) or []
    shape = tuple(outputs[0].shape) if len(outputs) == 1 else None
    if shape is None or len(shape) != 2 or shape[1] is None or shape[1] < 2:
        shown = [tuple(output.shape) for output in outputs] or "no known output (not built?)"
        raise ValueError(
            "`model` must be a functional or Sequential classifier with one output of shape "
            f"(batch, classes), classes >= 2. Received: {model.name!r} with {shown}"
        )
    return int(shape[1])


def output_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers that make the output of a functional or Sequential model, last one first.

    More than one only where the model ends in layers that just pass values on, such as the
    `Activation("linear", dtype="float32")` that is customary after a mixed precision softmax.

    Raises:
        ValueError: If the output is made by a bare `keras.ops` function, not by a layer.
    """
    found = []
    for layer in _backwards(model):
        if not isinstance(layer, keras.layers.Layer):
            raise ValueError(
                "`model` must end in a layer. Received: a model that ends in the bare operation "
                f"{layer.name!r}"
            )
        found.append(layer)
        if not _passes_values_on(layer):
            break
    return found


def returns_logits(model: keras.Model) -> bool:
    """False if the model ends in a softmax, True if it ends in a layer without activation.

    Raises:
        ValueError: If the last activation is neither linear nor softmax.
    """
    layer, activation = last_activation(model)
    if activation is keras.activations.softmax:
        return False
    if activation is keras.activations.linear:
        return True
    raise ValueError(
        "`model` must end in a softmax or in a layer without activation. Received: "
        f"{getattr(activation, '__name__', activation)!r} in layer {layer.name!r}"
    )


def last_activation(model: keras.Model) -> tuple[keras.layers.Layer, Any]:
    """The layer that makes the output, and its activation: a function of `keras.activations`.

    A `Softmax` layer has the function of that name, one without activation `linear`; a model as
    last layer is looked into.

    Raises:
        ValueError: As `output_layers`.
    """
    layer = output_layers(model)[-1]
    if isinstance(layer, keras.layers.Softmax):
        return layer, keras.activations.softmax
    if isinstance(layer, keras.Model) and getattr(layer, "outputs", None):
        return last_activation(layer)
    return layer, getattr(layer, "activation", None) or keras.activations.linear


def check_labels(model: keras.Model, labels: Any, name: str = "train") -> None:
    """Refuses labels that the model has no output for.

    Args:
        model: A classifier, as for `class_count`.
        labels: Array of integers, (batch,) or (batch, 1), or of rows, (batch, classes).
        name: The argument that they are part of, for errors.

    Raises:
        ValueError: If labels are no numbers, an index is negative, not below the number of
            classes or no whole number, or the rows have another width or do not sum to 1. Left
            alone, such labels train a wrong model without any error.
    """
    classes = class_count(model)
    received = _misfit(np.asarray(labels), classes)
    if received:
        raise ValueError(
            f"`{name}` must have labels from 0 to {classes - 1} (or rows of {classes} values), "
            f"because model {model.name!r} has {classes} classes. Received: {received}"
        )


def _misfit(values: np.ndarray, classes: int) -> str | None:
    """What is wrong with labels, in words; None for nothing."""
    if values.size and values.dtype.kind in "OSU":
        return f"labels that are no numbers, such as {str(values.flat[0])!r}"
    if values.ndim == 2 and values.shape[1] != 1:
        if values.shape[1] != classes:
            return f"rows of {values.shape[1]} values"
        return unlike_labels(values)
    if values.size and not (values.min() >= 0 and values.max() < classes):
        return f"labels from {values.min()} to {values.max()}"
    return unlike_labels(values)


def _backwards(model: keras.Model) -> Iterator[Any]:
    """What makes the output, what makes that one's input, and so on up to the first branching."""
    if isinstance(model, keras.Sequential):
        yield from reversed(model.layers)
        return
    makers = {id(output): call for call in calls(model) for output in call.outputs}
    call = makers.get(id(model.outputs[0]))
    while call is not None:
        yield call.operation
        call = makers.get(id(call.inputs[0])) if len(call.inputs) == 1 else None


def _passes_values_on(layer: keras.layers.Layer) -> bool:
    if isinstance(layer, keras.layers.Activation):
        return layer.activation is keras.activations.linear
    # A fake quantizer says it of itself: quantization builds on training, not training on it.
    passes = (keras.layers.Identity, keras.layers.Flatten, keras.layers.Reshape)
    return isinstance(layer, passes) or getattr(layer, "passes_values_on", False)
