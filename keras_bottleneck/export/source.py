"""What every writer reads: the inference model and, made once, its SavedModel."""

import re
from collections.abc import Callable, Collection
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import keras

from keras_bottleneck import keras_private
from keras_bottleneck.export.errors import translated
from keras_bottleneck.export.inference import INPUT_NAME
from keras_bottleneck.export.names import ScopeNames
from keras_bottleneck.runtime.saved_model import SIGNATURE


class Traced(NamedTuple):
    """An operator of the traced model.

    Attributes:
        operator: The `tf.Operation`.
        varying: Those of its inputs that depend on the image.
        layer: The layer or bare operation of Keras that it is from; None where it is from none.
    """

    operator: Any
    varying: list[Any]
    layer: Any


class Source:
    """An inference model on its way into artifacts.

    Args:
        model: A model from `inference_model`.
        output_name: What its output is called in the artifacts.
        scratch: A folder for intermediate files.
        io_type: "float32", "int8" or "uint8": what int8 TFLite files take and return.
        calibration: Images that stand for all that the model will see, (N, height, width,
            channels), for the formats that need them.
        names: What the user calls the layers of `model`; by default as they are called.
    """

    def __init__(
        self,
        model: keras.Model,
        output_name: str,
        scratch: Path,
        io_type: str = "float32",
        calibration: Any = None,
        names: ScopeNames | None = None,
    ) -> None:
        self.model = model
        self.output_name = output_name
        self.scratch = scratch
        self.io_type = io_type
        self.calibration = calibration
        self.names = ScopeNames(()) if names is None else names

    @property
    def input_signature(self) -> list[Any]:
        """The TensorSpec of the one input."""
        import tensorflow as tf

        return [tf.TensorSpec(self.model.inputs[0].shape, tf.float32, name=INPUT_NAME)]

    def serve(self, image: Any) -> dict[str, Any]:
        """The function that is traced: image in, named output out."""
        bare = [
            operation
            for operation in self.model.operations
            if not isinstance(operation, keras.layers.Layer)
        ]
        with keras_private.calls_replaced({operation: _scoped(operation) for operation in bare}):
            images = keras_private.as_taken(self.model, image)
            (output,) = keras.tree.flatten(self.model(images, training=False))
        return {self.output_name: output}

    @cached_property
    def function(self) -> Any:
        """`serve` as a `tf.function`, traced once for all formats."""
        import tensorflow as tf

        return tf.function(self.serve, input_signature=self.input_signature)

    @cached_property
    def saved_model(self) -> Path:
        """The SavedModel that the other converters start from."""
        import tensorflow as tf

        # Not `keras.export.ExportArchive`: it stores every variable twice.
        module = tf.Module()
        path = self.scratch / "saved_model"
        with translated(f"Tracing {self.title} as a SavedModel"):
            # Saving would trace a function that is not concrete again.
            module.serve = self.function.get_concrete_function()
            module.weights = module.serve.variables
            tf.saved_model.save(module, str(path), signatures={SIGNATURE: module.serve})
        return path

    @cached_property
    def operators(self) -> list[Traced]:
        """The TensorFlow operators that compute with the image, in order."""
        makers = {operation.name: operation for operation in self.model.operations}

        def maker(scopes: list[str]) -> Any:
            # The second time that a layer is traced, its scope is called `name_1`.
            again = (re.sub(r"_\d+$", "", scope) for scope in scopes)
            return makers.get(next((name for name in (*scopes, *again) if name in makers), ""))

        with translated(f"Tracing {self.title}"):
            graph = self.function.get_concrete_function().graph
        reached = {graph.inputs[0].op}
        traced = []
        for operator in graph.get_operations():
            varying = [tensor for tensor in operator.inputs if tensor.op in reached]
            if varying:
                reached.add(operator)
                traced.append(Traced(operator, varying, maker(operator.name.split("/")[:-1])))
        return traced

    @property
    def title(self) -> str:
        """The user's name of the model, in quotes."""
        return repr(self.user_name(self.model))

    def user_name(self, layer: Any) -> str:
        """What the user calls a layer of `model`, or `model` itself."""
        return self.names.original(layer.name)

    def layer_with(self, kinds: Collection[str]) -> str | None:
        """What the user calls the first layer that traces to one of these TensorFlow operators."""
        layers = (operator.layer for operator in self.operators if operator.operator.type in kinds)
        return next((self.user_name(layer) for layer in layers if layer is not None), None)


def _scoped(operation: keras.Operation) -> Callable[..., Any]:
    """The call of a bare operation in a scope of its name, which Keras opens for layers only."""
    import tensorflow as tf

    call = operation.call

    def scoped(*args: Any, **kwargs: Any) -> Any:
        with tf.name_scope(operation.name):
            return call(*args, **kwargs)

    return scoped
