"""Mixed precision for a model that already exists."""

import keras

from keras_bottleneck.keras_private import sublayers
from keras_bottleneck.training.outputs import output_layers

CHANGEABLE = ("float32", "mixed_bfloat16", "mixed_float16")


def set_mixed_precision(model: keras.Model, policy: str) -> None:
    """Makes the layers of `model` compute in 16 bits, in place; variables stay float32.

    Keras reads the policy when a layer is made, so that a global
    `keras.config.set_dtype_policy` does nothing for a model that exists. Only layers with a
    "float32" or mixed policy change. The layers that make the output keep float32: a softmax over
    many classes in 16 bits loses the small probabilities, and the loss with them.

    Args:
        model: A built functional or Sequential model; nested models and composite layers are
            changed throughout.
        policy: "mixed_bfloat16" or "mixed_float16".

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"),
        ...                           keras.layers.Dense(2, "softmax")])
        >>> set_mixed_precision(model, "mixed_bfloat16")
        >>> model.get_layer("hidden").compute_dtype
        'bfloat16'
    """
    kept: set[int] = set()
    for layer in output_layers(model):
        kept.update(id(item) for item in [layer, *_tail(layer)])
    for layer in sublayers(model):
        if isinstance(layer, keras.layers.InputLayer) or id(layer) in kept:
            continue
        if layer.dtype_policy.name in CHANGEABLE:
            layer.dtype_policy = policy


def _tail(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The inner layers of an output layer that make the output too.

    All of them for a composite head; of a nested model only its own output layers, or a model
    wrapped in a model would stay in float32 as a whole.
    """
    if not isinstance(layer, keras.Model) or not getattr(layer, "outputs", None):
        return sublayers(layer)
    found = []
    for inner in output_layers(layer):
        found += [inner, *_tail(inner)]
    return found
