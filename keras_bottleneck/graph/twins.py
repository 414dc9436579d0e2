"""Equal layers without weights on the same tensors, made one."""

import json
from collections.abc import Sequence
from typing import Any

import keras

from keras_bottleneck import keras_private
from keras_bottleneck.graph.rebuild import Copies, copied, inputs_like, rebuild
from keras_bottleneck.keras_private import Call


def without_twins(model: keras.Model) -> keras.Model:
    """`model`, or a copy in which what is computed twice is computed once.

    Converters merge such layers too: then two ranges would stand behind one operator.
    """
    keys = [_key(call.operation, call.inputs) for call in keras_private.calls(model)]
    known = [key for key in keys if key is not None]
    if len(known) == len(set(known)):
        return model
    return rebuild(model, _Merger().visit, inputs_like(model))


class _Merger:
    """Copies calls, and answers an equal one with the outputs of the first."""

    def __init__(self) -> None:
        self.copies = Copies()
        self.outputs: dict[str, Any] = {}

    def visit(self, call: Call, args: Any, kwargs: Any) -> Any:
        key = _key(call.operation, keras_private.tensors_in(args, kwargs))
        if key is not None and key in self.outputs:
            return self.outputs[key]
        outputs = self.copies.call(call.operation, args, kwargs, copied)
        if key is not None:
            self.outputs[key] = outputs
        return outputs


def _key(operation: Any, tensors: Sequence[Any]) -> str | None:
    """What equal calls have in common; None for one that may do more than its config says."""
    layer = isinstance(operation, keras.layers.Layer) and not isinstance(operation, keras.Model)
    if not layer or operation.variables or type(operation).__module__.split(".")[0] != "keras":
        return None
    config = {key: value for key, value in operation.get_config().items() if key != "name"}
    content = [type(operation).__name__, config, list(map(id, tensors))]
    return json.dumps(content, sort_keys=True, default=str)
