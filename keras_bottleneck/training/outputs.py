"""What a model ends in: how many columns, softmax, sigmoid or none, made by which layers."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras

from keras_bottleneck import checks
from keras_bottleneck.keras_private import calls


class Head(NamedTuple):
    """What a model ends in.

    Attributes:
        width: Columns of its output.
        activation: The name of the last activation: "softmax", "sigmoid", "linear" or another.
        layer: The name of the layer that makes the output.
    """

    width: int
    activation: str
    layer: str

    @property
    def classes(self) -> int:
        """How many classes it distinguishes: a single column is that of the second of two."""
        return max(2, self.width)


def head_of(model: keras.Model) -> Head:
    """What `model` ends in.

    Raises:
        ValueError: If it is no Keras model, is not built, or its output is no row of columns; as
            `output_layers`.
    """
    width = _width(model, 1)
    layer, activation = last_activation(model)
    return Head(width, getattr(activation, "__name__", str(activation)), layer.name)


def class_count(model: keras.Model) -> int:
    """The number of classes of a classifier: the width of its only output, (batch, classes).

    Raises:
        ValueError: If `model` is no Keras model, is not built, or its output is no row of two or
            more classes.
    """
    return _width(model, 2)


def _width(model: keras.Model, least: int) -> int:
    """The columns of the only output of a model, (batch, columns); `least` or more."""
    if not isinstance(model, keras.Model):
        raise checks.reject("model", model, "a functional or Sequential Keras model")
    outputs = getattr(model, "outputs", None) or []
    shape = tuple(outputs[0].shape) if len(outputs) == 1 else None
    if shape is None or len(shape) != 2 or shape[1] is None or shape[1] < least:
        shown = [tuple(output.shape) for output in outputs] or "no known output (not built?)"
        kind = "classifier" if least > 1 else "model"
        columns = f"classes), classes >= {least}" if least > 1 else "columns)"
        raise ValueError(
            f"`model` must be a functional or Sequential {kind} with one output of shape "
            f"(batch, {columns}. Received: {model.name!r} with {shown}"
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
