"""What the inputs and outputs of a functional or `Sequential` model are called.

The names are those of its dict of inputs or outputs, else those of the layers that they come from.
"""

from collections import Counter
from typing import Any

import keras

from keras_bottleneck import keras_private


def input_names(model: keras.Model) -> tuple[str, ...]:
    """The names of the inputs of `model`, in the order of `model.inputs`.

    Raises:
        ValueError: If two have the same.

    Example:
        >>> photo, vector = keras.Input((8, 8, 3), name="photo"), keras.Input((4,), name="vector")
        >>> input_names(keras.Model([photo, vector], vector))
        ('photo', 'vector')
    """
    owners = [tensor.name for tensor in model.inputs]
    return _distinct("inputs", _names(keras_private.input_structure(model), owners))


def output_names(model: keras.Model) -> tuple[str, ...]:
    """The names of the outputs of `model`, in the order of `model.outputs`.

    Raises:
        ValueError: If two have the same.

    Example:
        >>> image = keras.Input((4,))
        >>> outputs = {"kind": keras.layers.Dense(3)(image), "age": keras.layers.Dense(1)(image)}
        >>> output_names(keras.Model(image, outputs))
        ('age', 'kind')
    """
    if isinstance(model, keras.Sequential):
        owners = [keras_private.maker(tensor).name for tensor in model.outputs]
    else:
        owners = list(model.output_names)
    return _distinct("outputs", _names(keras_private.output_structure(model), owners))


def _names(structure: Any, owners: list[str]) -> list[str]:
    """Of each tensor, the keys that lead to it in `structure`; without any, its owner's name."""
    paths = [path for path, _ in keras.tree.flatten_with_path(structure)]
    keys = [[str(key) for key in path if isinstance(key, str)] for path in paths]
    return ["_".join(own) or owner for own, owner in zip(keys, owners, strict=True)]


def _distinct(what: str, names: list[str]) -> tuple[str, ...]:
    counts = Counter(names)
    twice = next((name for name, count in counts.items() if count > 1), None)
    if twice is not None:
        raise ValueError(
            f"`model` must have {what} of different names, as a dict gives them. Received: "
            f"{counts[twice]} {what} called {twice!r}"
        )
    return tuple(names)
