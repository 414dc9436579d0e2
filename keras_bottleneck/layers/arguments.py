"""The arguments that every Keras layer takes."""

from typing import Any, TypedDict

import keras


class LayerArguments(TypedDict, total=False):
    """What the `**kwargs` of a layer hand to `keras.layers.Layer`, for type checkers.

    Attributes:
        name: Name of the layer.
        trainable: Whether its weights are trained.
        dtype: A dtype or a dtype policy, or the name of either.
        autocast: Whether floating-point inputs are cast to the layer's compute dtype.
        activity_regularizer: A loss on the layer's output.
    """

    name: str | None
    trainable: bool
    dtype: str | keras.DTypePolicy | None
    autocast: bool
    activity_regularizer: Any
