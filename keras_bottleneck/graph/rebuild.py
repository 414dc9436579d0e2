"""What all passes share: walk a functional model and build a new one from copies of its layers."""

import sys
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, count
from typing import Any

import keras
import numpy as np

from keras_bottleneck import checks, keras_private
from keras_bottleneck.graph.endings import model_task, stated_task
from keras_bottleneck.image_model import carrying, model_preprocessing
from keras_bottleneck.keras_private import Call

Visit = Callable[[Call, Any, Any], Any]
Make = Callable[[Any, Any, Any], tuple[Any, Any]]


def functional(model: Any) -> keras.Model:
    """`model` as a functional model on its own tensors (a `Sequential` is one too, once built).

    Raises:
        ValueError: If `model` is no Keras model, is subclassed, or has no input shape yet.
    """
    accepted = "a functional or Sequential Keras model with a known input shape"
    if not isinstance(model, keras.Model):
        raise checks.reject("model", model, accepted)
    if not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
        kind = f"{type(model).__name__} {model.name!r}"
        raise ValueError(f"`model` must be {accepted}. Received: model={kind}")
    if isinstance(model, keras.Sequential):
        outputs = model.outputs if len(model.outputs) > 1 else model.outputs[0]
        functional_model = keras.Model(model.inputs[0], outputs, name=model.name)
        return carrying(functional_model, model_preprocessing(model))
    return model


def rebuild(
    model: keras.Model,
    visit: Visit,
    inputs: list[Any] | None = None,
    name: str | None = None,
) -> keras.Model:
    """A new model of the same structure in which each call is what `visit` makes of it.

    Args:
        model: A functional model.
        visit: Given a call and its new args and kwargs, returns the new outputs.
        inputs: The new input tensors; by default inputs of the old names, shapes and dtypes.
        name: The new model's name; by default that of `model`.

    Returns:
        A functional model with the input and output structure, the names of several outputs, the
        preprocessing and the task of `model`, which the loss of a compiled one tells.
    """
    if inputs is None:
        inputs = inputs_like(model)
    outputs = keras_private.replay(model, inputs, visit)
    with deep_graphs(len(keras_private.sublayers(model))):
        rebuilt = keras.Model(
            keras.tree.pack_sequence_as(keras_private.input_structure(model), inputs),
            keras.tree.pack_sequence_as(keras_private.output_structure(model), outputs),
            name=model.name if name is None else name,
        )
    # The name of a single output is read nowhere, and a dict has names of its own.
    by_layer = len(model.outputs) > 1 and not isinstance(
        keras_private.output_structure(model), dict
    )
    names = model.output_names if by_layer else None
    task = stated_task(model)
    if task == model_task(rebuilt):
        task = None
    return carrying(rebuilt, model_preprocessing(model), names, task)


@contextmanager
def deep_graphs(layers: int) -> Iterator[None]:
    """Lets Keras, which walks a graph by recursion, make a model of as many layers."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + 2 * layers)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def inputs_like(model: keras.Model, dtype: str | None = None) -> list[Any]:
    """New inputs of the names and shapes of those of `model`, and of their dtypes or `dtype`."""
    return [
        keras.Input(batch_shape=tensor.shape, dtype=dtype or tensor.dtype, name=tensor.name)
        for tensor in model.inputs
    ]


def unused_name(candidates: Sequence[str], used: Container[str]) -> str:
    """The first of `candidates` that is not in `used`, else the last one with a number."""
    numbered = (f"{candidates[-1]}_{number}" for number in count(2))
    return next(name for name in chain(candidates, numbered) if name not in used)


class TensorMap:
    """A dict with Keras tensors for keys, which have no hash but their address."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[Any, Any]] = {}

    def __setitem__(self, tensor: Any, value: Any) -> None:
        # The tensor is kept too: the address of a dead one would be given to another.
        self._found[id(tensor)] = tensor, value

    def __getitem__(self, tensor: Any) -> Any:
        return self._found[id(tensor)][1]

    def __contains__(self, tensor: Any) -> bool:
        return id(tensor) in self._found


class Copies:
    """Copies of operations, one for each: what is called twice stays one thing called twice."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[Any, Any]] = {}

    def call(self, operation: Any, args: Any, kwargs: Any, make: Make) -> Any:
        """The outputs of `operation`'s copy; the first call makes it with `make`."""
        _, copy = self._made.get(id(operation), (None, None))
        if copy is not None:
            return copy(*args, **kwargs)
        copy, outputs = make(operation, args, kwargs)
        # The operation is kept too: the address of a dead one would be given to another.
        self._made[id(operation)] = operation, copy
        return outputs


def copied(operation: Any, args: Any, kwargs: Any, **changes: Any) -> tuple[Any, Any]:
    """A copy of a layer (with its weights) or bare operation, and what it makes of `args`.

    `changes` replace entries of a layer's config; of an operation only its name can change.
    """
    if isinstance(operation, keras.layers.Layer):
        return _copied_layer(operation, args, kwargs, changes)
    copy = _copied_operation(operation, changes.get("name", operation.name))
    return copy, copy(*args, **kwargs)


def _copied_layer(
    layer: keras.layers.Layer, args: Any, kwargs: Any, changes: dict[str, Any]
) -> tuple[Any, Any]:
    config = {**layer.get_config(), **changes}
    if isinstance(layer, keras.layers.Lambda):
        # Safe mode guards against files; this function is in memory already.
        copy = keras.layers.Lambda.from_config(config, safe_mode=False)
    else:
        copy = type(layer).from_config(config)
    outputs = copy(*args, **kwargs)
    pairs = zip(_with_sublayers(layer), _with_sublayers(copy), strict=True)
    for source, target in pairs:
        store: dict[str, Any] = {}
        source.save_own_variables(store)
        if store:
            # Arrays of their own: on jax, training one network would delete those of the other.
            arrays = {
                key: np.array(keras.ops.convert_to_numpy(tensor)) for key, tensor in store.items()
            }
            target.load_own_variables(arrays)
    return copy, outputs


def _with_sublayers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    return [layer, *keras_private.sublayers(layer)]


def _copied_operation(operation: Any, name: str) -> Any:
    try:
        copy = type(operation).from_config(operation.get_config())
    except (NotImplementedError, TypeError):
        # An operation has no state: one that cannot be copied can be shared.
        return operation
    copy.name = name
    return copy
