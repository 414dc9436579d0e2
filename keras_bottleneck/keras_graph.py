"""The few private attributes of Keras's functional graph that this package reads.

Keras has no public way to walk the calls of a functional model. All such access is here, so
that a Keras release that moves one of these names breaks one test and one file.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras


class Call(NamedTuple):
    """One call in a functional model: of a layer, a nested model or a bare `keras.ops` function."""

    operation: Any
    arguments: Any
    inputs: list[keras.KerasTensor]
    outputs: list[keras.KerasTensor]

    def filled(self, tensors: dict[int, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The call's args and kwargs, with each Keras tensor replaced by `tensors[id(tensor)]`."""
        return self.arguments.fill_in(tensors)


def calls(model: keras.Model) -> Iterator[Call]:
    """The calls of a functional model in an order in which they can be computed."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if not node.is_input:
                yield Call(node.operation, node.arguments, node.input_tensors, node.outputs)


def replay(
    model: keras.Model, inputs: Sequence[Any], call: Callable[..., Any]
) -> list[Any]:
    """Run `call(operation, *args, **kwargs)` for each call of `model`; returns the flat outputs."""
    tensors = dict(zip(map(id, model.inputs), inputs, strict=True))
    for one in calls(model):
        args, kwargs = one.filled(tensors)
        outputs = keras.tree.flatten(call(one.operation, *args, **kwargs))
        tensors.update(zip(map(id, one.outputs), outputs, strict=True))
    return [tensors[id(output)] for output in model.outputs]


def output_structure(model: keras.Model) -> Any:
    """The model's outputs as they were given: one tensor, a list or a dict of tensors."""
    return model._outputs_struct


def input_structure(model: keras.Model) -> Any:
    """The model's inputs as they were given: one tensor, a list or a dict of tensors."""
    return model._inputs_struct


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
