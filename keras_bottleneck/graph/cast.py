"""The same network in another precision."""

from typing import Any

import keras

from keras_bottleneck import keras_private
from keras_bottleneck.graph.flatten import flat_copy
from keras_bottleneck.graph.transposed import computable


def in_float32(model: keras.Model) -> keras.Model:
    """`model` itself, or a flat float32 copy where a layer computes in another precision.

    Transposed convolutions are in a form that TensorFlow computes.

    Raises:
        ValueError: If there is none for one of them.
    """
    return computable(cast(model) if other_precision(model) else model)


def other_precision(model: keras.Model) -> Any:
    """The dtype policy of the first layer that computes in half or double; None without one."""
    for layer in keras_private.sublayers(model):
        if layer.compute_dtype in ("float16", "bfloat16", "float64"):
            return layer.dtype_policy
    return None


def cast(model: keras.Model, dtype: str = "float32") -> keras.Model:
    """A flat copy of `model` whose layers all compute as `dtype` says; weights stay equal.

    Args:
        model: A functional or built `Sequential` model; it stays untouched.
        dtype: A Keras dtype policy, such as `"float32"` or `"mixed_bfloat16"`.

    Returns:
        A functional model, flattened as by `graph.flatten`.

    Raises:
        ValueError: If `model` is subclassed or has no input shape yet, or `dtype` is unknown.

    Example:
        >>> from keras_bottleneck.models import ResNet18
        >>> cast(ResNet18(classes=10), "mixed_bfloat16").get_layer("stem_conv").compute_dtype
        'bfloat16'
    """
    return flat_copy(model, dtype=keras.dtype_policies.get(dtype))
