"""The tensors of a source of weights, by name, not read before their shapes are known to fit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from keras_bottleneck import keras_private
from keras_bottleneck.weights.facts import Facts

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Tensor:
    """A tensor that is read when its shape is the right one: a file may promise any size."""

    shape: tuple[int, ...]
    read: Callable[[], Any]


@dataclass(frozen=True)
class Tensors:
    """What a source holds.

    Attributes:
        by_name: Name to tensor; variables of Keras are called "layer/variable".
        described: What the source is, for messages.
        facts: What the source itself tells of the network.
    """

    by_name: Mapping[str, Tensor]
    described: str
    facts: Facts = field(default_factory=Facts)


def of_model(model: keras.Model) -> Tensors:
    """The variables of a Keras model, at any depth."""
    found = {
        f"{layer.name}/{variable.name}": _of_array(variable)
        for layer in keras_private.sublayers(model)
        for variable in own_variables(layer)
    }
    return Tensors(found, f"model {model.name!r}")


def of_mapping(state: Mapping[str, Any], described: str) -> Tensors:
    """The tensors of a state dict: arrays of NumPy, or of PyTorch, which is not imported."""
    return Tensors({str(name): _of_array(value) for name, value in state.items()}, described)


def own_variables(layer: keras.layers.Layer) -> list[Any]:
    """The variables of a layer that holds no other layers; none of one that does."""
    return [] if keras_private.sublayers(layer) else list(layer.weights)


def _of_array(value: Any) -> Tensor:
    return Tensor(tuple(int(side) for side in value.shape), lambda: as_array(value))


def as_array(value: Any) -> Array:
    """A variable of Keras, a tensor of PyTorch, or an array, as a float32 array."""
    if hasattr(value, "detach") and hasattr(value, "cpu"):  # NumPy has no bfloat16
        value = value.detach().cpu().float().numpy()
    if isinstance(value, keras.Variable):
        value = keras.ops.convert_to_numpy(value)
    return np.asarray(value, np.float32)
