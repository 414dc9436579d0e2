"""How a model ends: in probabilities, in logits, or in features of no classifier."""

from typing import Any

import keras

from keras_bottleneck import keras_private


def output_name(model: keras.Model) -> str:
    """What the model's output is: "probabilities", "logits", or "features" of no classifier.

    Only what a softmax or sigmoid made is taken for probabilities, and only what a linear dense
    layer, or a 1x1 convolution, which is one for every pixel, made for logits: a softmax too many
    at run time would be a wrong answer.
    """
    tensor = model.outputs[0]
    last = keras_private.maker(tensor)
    while _passes_values_on(last):
        tensor = keras_private.made_of(tensor)[0]
        last = keras_private.maker(tensor)
    if isinstance(last, keras.Model):
        return output_name(last)
    activation = getattr(last, "activation", None)
    squashes = activation in (keras.activations.softmax, keras.activations.sigmoid)
    # Bare operations have no public classes: keras.ops.softmax makes a `Softmax` too.
    if squashes or type(last).__name__ in ("Softmax", "Sigmoid"):
        return "probabilities"
    linear = _is_dense(last) and activation is keras.activations.linear
    return "logits" if linear else "features"


def _is_dense(layer: Any) -> bool:
    if isinstance(layer, keras.layers.Conv2D):
        return layer.kernel_size == (1, 1) and layer.groups == 1
    return isinstance(layer, keras.layers.Dense)


def _passes_values_on(layer: Any) -> bool:
    if isinstance(layer, keras.layers.Activation):
        return layer.activation is keras.activations.linear
    passes = (keras.layers.Identity, keras.layers.Dropout)
    return isinstance(layer, passes) or getattr(layer, "passes_values_on", False)
