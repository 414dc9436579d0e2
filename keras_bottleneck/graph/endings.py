"""How a model ends: in probabilities, in logits, or in features; and for which task."""

from typing import Any

import keras

from keras_bottleneck import keras_private
from keras_bottleneck.tasks import CLASSIFICATION, MULTI_LABEL, REGRESSION, task_of

# Losses by their names in Keras; those of single labels are for classes where there is one output.
OF_NUMBERS = (
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error",
    "huber",
    "huber_loss",
    "log_cosh",
)
OF_LABELS = ("binary_crossentropy", "binary_focal_crossentropy", "smoothed_binary_crossentropy")


def output_name(model: keras.Model) -> str:
    """What the model's output is: "probabilities", "logits", or "features" of no classifier.

    Only what a softmax or sigmoid made is taken for probabilities, and only what a linear dense
    layer, or a 1x1 convolution, which is one for every pixel, made for logits: a softmax too many
    at run time would be a wrong answer.
    """
    last = _last_layer(model)
    activation = getattr(last, "activation", None)
    squashes = activation in (keras.activations.softmax, keras.activations.sigmoid)
    # Bare operations have no public classes: keras.ops.softmax makes a `Softmax` too.
    if squashes or type(last).__name__ in ("Softmax", "Sigmoid"):
        return "probabilities"
    linear = _is_dense(last) and activation is keras.activations.linear
    return "logits" if linear else "features"


def model_task(model: keras.Model) -> str:
    """The task of a model, by the loss that it is compiled with, or else by how it ends.

    A single linear output and several ones without such a loss are logits of classes.
    """
    return stated_task(model) or _task_of_the_end(model)


def stated_task(model: keras.Model) -> str | None:
    """The task that a model carries, or that its loss tells; None where it states none."""
    loss = _loss_name(model)
    if loss in OF_NUMBERS:
        return REGRESSION
    if loss in OF_LABELS:
        return CLASSIFICATION if model.outputs[0].shape[-1] == 1 else MULTI_LABEL
    return getattr(model, "task", None)


def _task_of_the_end(model: keras.Model) -> str:
    width = model.outputs[0].shape[-1]
    ends_in_sigmoid = getattr(_last_layer(model), "activation", None) is keras.activations.sigmoid
    whole = len(model.outputs[0].shape) == 2
    return task_of("sigmoid", width) if ends_in_sigmoid and whole else CLASSIFICATION


def _loss_name(model: keras.Model) -> str | None:
    """The name of the only loss that `model` is compiled with; None without a single one."""
    losses = keras.tree.flatten(getattr(model, "loss", None))
    if len(losses) != 1 or losses[0] is None:
        return None
    loss = keras.losses.get(losses[0]) if isinstance(losses[0], str) else losses[0]
    name = getattr(loss, "name", None) or getattr(loss, "__name__", None)
    return None if name is None else str(name)


def _last_layer(model: keras.Model) -> Any:
    """What makes the output of a model, before what passes values on, or on in other units."""
    tensor = model.outputs[0]
    last = keras_private.maker(tensor)
    while _passes_values_on(last):
        tensor = keras_private.made_of(tensor)[0]
        last = keras_private.maker(tensor)
    return _last_layer(last) if isinstance(last, keras.Model) else last


def _is_dense(layer: Any) -> bool:
    if isinstance(layer, keras.layers.Conv2D):
        return layer.kernel_size == (1, 1) and layer.groups == 1
    return isinstance(layer, keras.layers.Dense)


def _passes_values_on(layer: Any) -> bool:
    if isinstance(layer, keras.layers.Activation):
        return layer.activation is keras.activations.linear
    passes = (keras.layers.Identity, keras.layers.Dropout, keras.layers.Rescaling)
    return isinstance(layer, passes) or getattr(layer, "passes_values_on", False)
