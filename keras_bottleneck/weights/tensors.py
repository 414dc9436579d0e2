"""The tensors of a source of weights, by name, not read before their shapes are known to fit."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from keras_bottleneck import keras_private
from keras_bottleneck.weights.checkpoints import Checkpoint
from keras_bottleneck.weights.facts import Facts

Array = np.ndarray[Any, Any]
# Longest name from a file in a message, in characters.
SHOWN = 80
# How many entries of something else than a state dict a message shows.
FEW = 8
# What weights are trained in.
FLOATS = ("float16", "bfloat16", "float32", "float64")


class RefusedError(ValueError):
    """A source that cannot be loaded, for a reason that is a sentence of its own."""


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
        checkpoint: The published checkpoint that the source is, if it is one.
    """

    by_name: Mapping[str, Tensor]
    described: str
    facts: Facts = field(default_factory=Facts)
    checkpoint: Checkpoint | None = None


def of_model(model: keras.Model) -> Tensors:
    """The variables of a Keras model, at any depth."""
    found = named_once(
        (f"{layer.name}/{variable.name}", _of_array(variable))
        for layer in keras_private.sublayers(model)
        for variable in own_variables(layer)
    )
    return Tensors(found, f"model {model.name!r}")


def of_mapping(state: Mapping[str, Any], described: str) -> Tensors:
    """The tensors of a state dict: arrays of NumPy, or of PyTorch, which is not imported.

    Raises:
        RefusedError: If it has none.
    """
    found = _arrays(state)
    if not found:  # several networks, each in a state dict of its own
        found = {
            f"{key}.{name}": tensor
            for key, inside in state.items()
            if isinstance(inside, Mapping)
            for name, tensor in _arrays(inside).items()
        }
    if not found:
        raise RefusedError(
            f"`source` must hold tensors by name. Received: {described} with {_some(state)}"
        )
    return Tensors(found, described)


def _arrays(state: Mapping[str, Any]) -> dict[str, Tensor]:
    return {str(name): _of_array(one) for name, one in state.items() if hasattr(one, "shape")}


def _some(state: Mapping[str, Any]) -> str:
    names = [printable(str(name)) for name in list(state)[:FEW]]
    return f"{', '.join(names) or 'nothing'}{' and more' if len(state) > FEW else ''}"


def named_once(pairs: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors by name.

    Raises:
        RefusedError: If two have one name: which of them is meant would be a guess.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in pairs:
        if name in found:
            raise RefusedError(
                f"`source` must name its tensors apart. Received: two called {printable(name)}"
            )
        found[name] = tensor
    return found


def own_variables(layer: keras.layers.Layer) -> list[Any]:
    """The variables of a layer but for those of the layers inside it, such as its activation."""
    inside = {id(one) for sub in keras_private.sublayers(layer) for one in sub.weights}
    return [variable for variable in layer.weights if id(variable) not in inside]


def printable(name: str) -> str:
    """A name from a file, as it may stand in a message."""
    shown = name if name.isprintable() else ascii(name)
    return shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}..."


def _of_array(value: Any) -> Tensor:
    return Tensor(tuple(int(side) for side in value.shape), lambda: as_array(value))


def as_array(value: Any) -> Array:
    """A variable of Keras, a tensor of PyTorch, or an array, as an array of float32 or float64.

    Raises:
        ValueError: If it holds anything but floating point numbers.
    """
    dtype = keras.backend.standardize_dtype(value.dtype)
    if dtype not in FLOATS:
        raise ValueError(f"dtype {dtype} is none of {', '.join(FLOATS)}")
    if hasattr(value, "detach") and hasattr(value, "cpu"):  # NumPy has no bfloat16
        value = value.detach().cpu()
        value = (value if dtype == "float64" else value.float()).numpy()
    if isinstance(value, keras.Variable):
        value = keras.ops.convert_to_numpy(value)
    return np.asarray(value, np.float64 if dtype == "float64" else np.float32)
