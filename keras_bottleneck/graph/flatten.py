"""One flat graph of stock Keras layers, whatever the model was composed of."""

import inspect
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


def opened(model: keras.Model) -> keras.Model:
    """`flatten`, but layers of other packages that are made of Keras layers are inlined as well.

    What they are made of is what their `call` does with symbolic tensors. Layers with variables of
    their own, that want values, or that do something else in training stay whole. The names of
    what comes out of a layer begin with the name of that layer.
    """
    model = functional(model)
    if not any(map(_may_be_opened, keras_private.sublayers(model))):
        return model
    return rebuild(model, _Inliner(model, {}, others=True).visit)


def _may_be_opened(operation: Any) -> bool:
    """Whether it is a layer of another package (or of one network) without variables of its own."""
    if not isinstance(operation, keras.layers.Layer) or isinstance(operation, keras.Model):
        return False
    module = type(operation).__module__
    applications = module.startswith("keras.src.applications.")
    if module.split(".")[0] in ("keras", __package__.split(".")[0]) and not applications:
        return False
    inner = {
        id(variable) for layer in keras_private.sublayers(operation) for variable in layer.variables
    }
    return all(id(variable) in inner for variable in operation.variables)


class _Inliner:
    """Replays calls, going into composites; remembers each copied layer and each used name."""

    def __init__(self, model: keras.Model, changes: dict[str, Any], others: bool = False) -> None:
        self.changes = changes
        self.others = others
        self.copies = Copies()
        self.containers: list[str] = []
        # The layer of another package that is being inlined.
        self.owner: str | None = None
        # Names of the outermost graph are kept for their owners.
        self.reserved = {call.operation.name for call in keras_private.calls(model)}
        self.used = {tensor.name for tensor in model.inputs}

    def visit(self, call: Call, args: Any, kwargs: Any) -> Any:
        operation = call.operation
        if isinstance(operation, keras.Model) and getattr(operation, "inputs", None):
            return self._inline_model(operation, args, kwargs)
        if isinstance(operation, Block):
            return self._inline_block(operation, args, kwargs)
        if self.others and _may_be_opened(operation) and _recordable(operation, args, kwargs):
            return self._inline_other(operation, args, kwargs)
        return self.copies.call(operation, args, kwargs, self._copied)

    def _inline_model(self, model: keras.Model, args: Any, kwargs: Any) -> Any:
        nested = functional(model)
        inputs = keras_private.tensors_in(args, kwargs)
        outputs = self._replay_inside(model.name, nested, inputs)
        return keras.tree.pack_sequence_as(keras_private.output_structure(nested), outputs)

    def _inline_block(self, block: keras.layers.Layer, args: Any, kwargs: Any) -> Any:
        inputs = keras_private.tensors_in(args, kwargs)
        with keras_private.untraced(keras_private.sublayers(block)):
            inside, structure = _recorded(block, args, kwargs)
            outputs = self._replay_inside(block.name, inside, inputs)
        return keras.tree.pack_sequence_as(structure, outputs)

    def _inline_other(self, layer: keras.layers.Layer, args: Any, kwargs: Any) -> Any:
        outermost = self.owner is None
        if outermost:
            self.owner = layer.name
        try:
            return self._inline_block(layer, args, kwargs)
        finally:
            if outermost:
                self.owner = None

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
        if self.owner is not None:
            candidates = [
                candidate for candidate in candidates if candidate.startswith(f"{self.owner}_")
            ]
        unique = unused_name(candidates, self.used)
        self.used.add(unique)
        return unique


def _recorded(layer: keras.layers.Layer, args: Any, kwargs: Any, **more: Any) -> tuple[Any, Any]:
    """The graph of what `layer` does with such arguments, and its outputs as it gives them."""
    # Keras lets the caller of the whole model decide about training, whatever was said here.
    kwargs = {name: value for name, value in kwargs.items() if name != "training"}
    inner_args, inner_kwargs = keras.tree.map_structure(_placeholder, (args, kwargs))
    outputs = layer.call(*inner_args, **inner_kwargs, **more)
    return keras.Function(keras_private.tensors_in(inner_args, inner_kwargs), outputs), outputs


def _recordable(layer: keras.layers.Layer, args: Any, kwargs: Any) -> bool:
    """Whether `layer` does the same operations in training and at inference, all to be copied."""
    switched = "training" in inspect.signature(layer.call).parameters
    modes = [{"training": True}, {"training": False}] if switched else [{}]
    with keras_private.untraced(keras_private.sublayers(layer)):
        try:
            graphs = [_recorded(layer, args, kwargs, **mode)[0] for mode in modes]
            for call in keras_private.calls(graphs[0]):
                if isinstance(call.operation, keras.layers.Layer):
                    call.operation.get_config()  # copies are made from it
        except Exception:  # code that wants values raises anything where it gets symbols
            return False
    steps = [list(map(_step, keras_private.calls(graph))) for graph in graphs]
    return all(sequence == steps[0] for sequence in steps)


def _step(call: Call) -> tuple[Any, ...]:
    """What a call does, for comparison with another: its kind and what it is given as constants."""
    kwargs = {name: value for name, value in call.arguments.kwargs.items() if name != "training"}
    given = keras.tree.flatten((call.arguments.args, kwargs))
    constants = [repr(value) for value in given if not isinstance(value, keras.KerasTensor)]
    return type(call.operation), constants


def _placeholder(argument: Any) -> Any:
    """A stand-in for a tensor among a call's arguments; anything else is passed as it is."""
    if isinstance(argument, keras.KerasTensor):
        return keras.Input(batch_shape=argument.shape, dtype=argument.dtype)
    return argument
