"""From what a user writes as `activation=` to a stock Keras layer, and to JSON and back."""

from collections.abc import Callable
from typing import Any, TypeAlias

import keras

from keras_bottleneck import checks

Activation: TypeAlias = str | Callable[..., Any] | keras.layers.Layer | None


def check(activation: Any, name: str = "activation") -> Activation:
    """`activation` in the form that a block keeps; a serialized one is deserialized.

    Raises:
        ValueError: If it is not None, the name of a Keras activation, a callable or a layer.
    """
    accepted = "None, the name of a Keras activation, a callable or a Keras layer"
    if isinstance(activation, dict):
        return keras.saving.deserialize_keras_object(activation)
    if isinstance(activation, type) or not (activation is None or _known(activation)):
        raise checks.reject(name, activation, accepted)
    return activation


def _known(activation: Any) -> bool:
    if not isinstance(activation, str):
        return callable(activation)
    if activation == "relu6":
        return True
    try:
        return keras.activations.get(activation) is not None
    except ValueError:
        return False


def serialize(activation: Activation) -> Any:
    """The JSON form of `activation`, as `get_config` wants it."""
    if activation is None or isinstance(activation, str):
        return activation
    return keras.saving.serialize_keras_object(activation)


def make(activation: Activation, **layer: Any) -> keras.layers.Layer | None:
    """A new layer that applies `activation`, or None for a linear one.

    `layer` is what `Block.named` says: the arguments of `keras.layers.Layer`.

    ReLU and ReLU6 become `keras.layers.ReLU`, which converters fuse into the convolution
    before it. A layer given by the user is copied: each place gets weights of its own.
    """
    if activation is None or activation == "linear":
        return None
    if activation == "relu":
        return keras.layers.ReLU(**layer)
    if activation == "relu6":
        return keras.layers.ReLU(6.0, **layer)
    if isinstance(activation, keras.layers.Layer):
        return type(activation).from_config({**activation.get_config(), **layer})
    return keras.layers.Activation(activation, **layer)
