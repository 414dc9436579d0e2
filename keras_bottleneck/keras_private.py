"""The private Keras attributes that the package reads, each behind one function with its own test.

Everything else uses Keras's public interface, so that a Keras release which moves one of these
names breaks here, in one place, and not somewhere inside a training run.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras


def sublayers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """All layers inside `layer`, at any depth, without `layer` itself.

    Reads `Layer._flatten_layers` (Keras 3.0 to 3.15), which visits composite layers and nested
    models alike; the public `Model.layers` stops at the first level, and composite layers have
    no public list at all.
    """
    return list(layer._flatten_layers(include_self=False, recursive=True))


def set_generator(layer: keras.layers.Layer, generator: keras.random.SeedGenerator) -> None:
    """Makes a random preprocessing layer draw its seeds from `generator`, inside tf.data too.

    Writes the documented attribute `generator`, and `DataLayer._backend_generators` (Keras 3.5 to
    3.15), from which the layer takes its TensorFlow generator when Keras itself runs on another
    backend.
    """
    layer.generator = generator
    layer._backend_generators = {"tensorflow": generator}


def global_seed(make: bool = False) -> Any:
    """The variable that random functions without a seed of their own draw from and count in.

    Reads "global_seed_generator" of Keras's global state (Keras 3.0 to 3.15).

    Args:
        make: Whether there has to be one; else it is None where nothing has been drawn yet.
    """
    from keras.src.backend.common import global_state
    from keras.src.random import seed_generator

    name = seed_generator.GLOBAL_SEED_GENERATOR
    if not make and global_state.get_global_attribute(name) is None:
        return None
    return seed_generator.global_seed_generator().state


def write_as(kind: type, stock: type) -> None:
    """Makes files name the class `stock` of Keras where an object is of the subclass `kind`.

    Writes `api_export.REGISTERED_OBJS_TO_NAMES` (Keras 3.0 to 3.15).
    """
    from keras.src import api_export

    names = api_export.REGISTERED_OBJS_TO_NAMES
    names[kind] = names[stock]


def start_averages(optimizer: keras.optimizers.Optimizer) -> None:
    """Makes the running averages of a built optimizer without a step begin at the weights.

    Reads `Optimizer._model_variables_moving_average` and `_trainable_variables` (Keras 3.0 to
    3.15). Keras leaves zeros there until the first step, which it takes as they are.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if getattr(inner, "use_ema", False) and not int(
        keras.ops.convert_to_numpy(inner.iterations)  # each device has a copy of its own
    ):
        pairs = zip(inner._model_variables_moving_average, inner._trainable_variables, strict=True)
        for average, variable in pairs:
            average.assign(keras.ops.copy(variable))  # jax gives the memory of each away


def variable_index(optimizer: keras.optimizers.Optimizer, variable: Any) -> int:
    """The place of `variable` among those that `optimizer` was built with.

    Calls `Optimizer._get_variable_index` (Keras 3.0 to 3.15), which knows TensorFlow's variable in
    the one of Keras; `update_step` gets the former.
    """
    return int(optimizer._get_variable_index(variable))


def in_hdf5() -> bool:
    """Whether Keras is writing or reading the configuration of an `.h5` file.

    Reads "use_legacy_config" of Keras's global state (Keras 3.0 to 3.15).
    """
    from keras.src.backend.common import global_state

    return bool(global_state.get_global_attribute("use_legacy_config", False))


def restore_optimizer(model: Any) -> None:
    """Lets the functional `model`, which Keras is loading from an `.h5` file, train on.

    `load_model_from_hdf5` (Keras 3.0 to 3.15) compiles the model, then calls `build` of the
    optimizer with `Layer._trainable_variables`, among which are none of a functional model: the
    state would be lost, and `fit` would refuse the variables. Then it calls `set_weights`, which
    passes over the optimizer inside a `LossScaleOptimizer`.
    """

    def compile_once(*args: Any, **kwargs: Any) -> None:
        del model.compile
        model.compile(*args, **kwargs)
        optimizer = model.optimizer

        def build(variables: Any) -> None:
            del optimizer.build
            optimizer.build(model.trainable_variables)

        def set_weights(values: Sequence[Any]) -> None:
            del optimizer.set_weights
            for variable, value in zip(optimizer.variables, values, strict=True):
                variable.assign(value)

        optimizer.build, optimizer.set_weights = build, set_weights

    model.compile = compile_once


class Call(NamedTuple):
    """One call in a functional model: of a layer, a nested model or a bare `keras.ops` function."""

    operation: Any
    arguments: Any
    inputs: list[keras.KerasTensor]
    outputs: list[keras.KerasTensor]


def calls(model: keras.Model) -> Iterator[Call]:
    """The calls of a functional model in an order in which they can be computed."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if not node.is_input:
                yield Call(node.operation, node.arguments, node.input_tensors, node.outputs)


def tensors_in(*arguments: Any) -> list[keras.KerasTensor]:
    """All Keras tensors inside nested arguments."""
    values = keras.tree.flatten(arguments)
    return [value for value in values if isinstance(value, keras.KerasTensor)]


def maker(tensor: keras.KerasTensor) -> Any:
    """The layer, nested model or operation whose call made `tensor`."""
    return tensor._keras_history.operation


def argument(call: Call, position: int, name: str) -> Any:
    """What a call was given for one of its arguments; None where that was left out."""
    given = call.arguments
    return given.args[position] if len(given.args) > position else given.kwargs.get(name)


def made_of(tensor: keras.KerasTensor) -> list[keras.KerasTensor]:
    """The tensors that were read by the call that made `tensor`."""
    operation, node_index, _ = tensor._keras_history
    return list(operation._inbound_nodes[node_index].input_tensors)


def replay(
    model: keras.Model, inputs: Sequence[Any], visit: Callable[[Call, Any, Any], Any]
) -> list[Any]:
    """Compute each call of `model` as `visit(call, args, kwargs)`; returns the flat outputs.

    Values may be anything; each is let go when its last reader has been visited.
    """
    values = dict(zip(map(id, model.inputs), inputs, strict=True))
    left = Counter(id(tensor) for call in calls(model) for tensor in call.inputs)
    left.update(map(id, model.outputs))
    for call in calls(model):
        args, kwargs = call.arguments.fill_in(values)
        outputs = keras.tree.flatten(visit(call, args, kwargs))
        del args, kwargs
        values.update(zip(map(id, call.outputs), outputs, strict=True))
        for tensor in call.inputs:
            left[id(tensor)] -= 1
            if not left[id(tensor)]:
                del values[id(tensor)]
    return [values[id(output)] for output in model.outputs]


def output_structure(model: keras.Model) -> Any:
    """The model's outputs as they were given: one tensor, a list or a dict of tensors.

    Those of a `Sequential`, which has no structure of its own, are a list.
    """
    return model.outputs if isinstance(model, keras.Sequential) else model._outputs_struct


def input_structure(model: keras.Model) -> Any:
    """The model's inputs as they were given: one tensor, a list or a dict of tensors.

    That of a `Sequential`, which has no structure of its own, is one tensor.
    """
    return model.inputs[0] if isinstance(model, keras.Sequential) else model._inputs_struct


def as_taken(model: keras.Model, inputs: Any) -> Any:
    """`inputs` as `model` takes them: one tensor in the list or dict of one that it was made with.

    Keras takes the bare tensor too, and warns.
    """
    return inputs if keras.tree.is_nested(inputs) else packed(model, [inputs])


def packed(model: keras.Model, inputs: Sequence[Any]) -> Any:
    """A tensor for each of `model.inputs` in the structure that `model` takes: a list or a dict."""
    structure = getattr(model, "_inputs_struct", None)
    if not keras.tree.is_nested(structure):
        return inputs[0]
    return keras.tree.pack_sequence_as(structure, list(inputs))


@contextmanager
def calls_replaced(replacements: Mapping[keras.Operation, Callable[..., Any]]) -> Iterator[None]:
    """Layers and operations compute, inside, what their function in `replacements` returns.

    Relies on `Operation.__call__` (Keras 3.0 to 3.15) reading `self.call`, which a function set
    on the layer itself hides. What Keras resolves for a call (dtype, `training`, masks) arrives
    as it would in the layer's own `call`.
    """
    try:
        for layer, call in replacements.items():
            layer.call = call
        yield
    finally:
        for layer in replacements:
            vars(layer).pop("call", None)


@contextmanager
def untraced(layers: Sequence[keras.layers.Layer]) -> Iterator[None]:
    """Forget, on leaving, the symbolic calls of `layers` that were made inside.

    A layer remembers each symbolic call; without this, looking at a user's model would change
    what its layers' `.output` means.
    """
    before = [(layer, len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in layers]
    try:
        yield
    finally:
        for layer, inbound, outbound in before:
            del layer._inbound_nodes[inbound:]
            del layer._outbound_nodes[outbound:]
