"""One flat graph of stock Keras layers, whatever the model was composed of."""

from typing import Any

import keras

from keras_bottleneck import keras_private
from keras_bottleneck.graph.rebuild import Copies, copied, functional, rebuild, unused_name
from keras_bottleneck.keras_private import Call
from keras_bottleneck.layers import Block


def flatten(model: keras.Model) -> keras.Model:
    """An independent copy of `model` in which blocks and nested models are inlined.

    Blocks of this package (and your own subclasses of `layers.Block`), nested models,
    functional or `Sequential`, become the layers they are made of; other layers are copied as they
    are. A layer that is called twice stays one layer called twice.

    Args:
        model: A functional or built `Sequential` model; it stays untouched.

    Returns:
        A functional model with the same name, inputs, outputs and weights, not compiled. Layers
        keep their names; one whose name is taken is prefixed with the name of what held it. The
        order of `get_weights()` can differ: it follows the flat graph.

    Raises:
        ValueError: If `model` is subclassed or has no input shape yet.

    Example:
        >>> from keras_bottleneck.models import ResNet18
        >>> flatten(ResNet18(classes=10)).get_layer("stage1_block1_first_conv").filters
        64
    """
    return flat_copy(model)


def is_flat(model: keras.Model) -> bool:
    """Whether `flatten` would find nothing to inline in a functional model."""
    return not any(map(_is_composite, (call.operation for call in keras_private.calls(model))))


def _is_composite(operation: Any) -> bool:
    nested = isinstance(operation, keras.Model) and getattr(operation, "inputs", None)
    return bool(nested) or isinstance(operation, Block)


def flat_copy(model: keras.Model, **changes: Any) -> keras.Model:
    """`flatten`, with `changes` to the config of every layer."""
    model = functional(model)
    inliner = _Inliner(model, changes)
    return rebuild(model, inliner.visit)


class _Inliner:
    """Replays calls, going into composites; remembers each copied layer and each used name."""

    def __init__(self, model: keras.Model, changes: dict[str, Any]) -> None:
        self.changes = changes
        self.copies = Copies()
        self.containers: list[str] = []
        # Names of the outermost graph are kept for their owners.
        self.reserved = {call.operation.name for call in keras_private.calls(model)}
        self.used = {tensor.name for tensor in model.inputs}

    def visit(self, call: Call, args: Any, kwargs: Any) -> Any:
        operation = call.operation
        if isinstance(operation, keras.Model) and getattr(operation, "inputs", None):
            return self._inline_model(operation, args, kwargs)
        if isinstance(operation, Block):
            return self._inline_block(operation, args, kwargs)
        return self.copies.call(operation, args, kwargs, self._copied)

    def _inline_model(self, model: keras.Model, args: Any, kwargs: Any) -> Any:
        nested = functional(model)
        inputs = keras_private.tensors_in(args, kwargs)
        outputs = self._replay_inside(model.name, nested, inputs)
        return keras.tree.pack_sequence_as(keras_private.output_structure(nested), outputs)

    def _inline_block(self, block: Block, args: Any, kwargs: Any) -> Any:
        # Keras lets the caller of the whole model decide about training, whatever was said here.
        kwargs = {name: value for name, value in kwargs.items() if name != "training"}
        inner_args, inner_kwargs = keras.tree.map_structure(_placeholder, (args, kwargs))
        placeholders = keras_private.tensors_in(inner_args, inner_kwargs)
        inputs = keras_private.tensors_in(args, kwargs)
        with keras_private.untraced(keras_private.sublayers(block)):
            made = block.call(*inner_args, **inner_kwargs)
            inside = keras.Function(placeholders, made)
            outputs = self._replay_inside(block.name, inside, inputs)
        return keras.tree.pack_sequence_as(made, outputs)

    def _replay_inside(self, container: str, graph: Any, inputs: list[Any]) -> list[Any]:
        self.containers.append(container)
        try:
            return keras_private.replay(graph, inputs, self.visit)
        finally:
            self.containers.pop()

    def _copied(self, operation: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
        name = self._unique_name(operation.name)
        return copied(operation, args, kwargs, name=name, **self.changes)

    def _unique_name(self, name: str) -> str:
        candidates = [name] if not self.containers or name not in self.reserved else []
        prefixed = name
        for container in reversed(self.containers):
            prefixed = f"{container}_{prefixed}"
            candidates.append(prefixed)
        unique = unused_name(candidates, self.used)
        self.used.add(unique)
        return unique


def _placeholder(argument: Any) -> Any:
    """A stand-in for a tensor among a call's arguments; anything else is passed as it is."""
    if isinstance(argument, keras.KerasTensor):
        return keras.Input(batch_shape=argument.shape, dtype=argument.dtype)
    return argument
