"""What every writer reads: the inference model and, made once, its SavedModel."""

import re
from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import Any

import keras

from keras_bottleneck import keras_private
from keras_bottleneck.export.errors import translated
from keras_bottleneck.export.inference import INPUT_NAME
from keras_bottleneck.runtime.saved_model import SIGNATURE


class Source:
    """An inference model on its way into artifacts.

    Args:
        model: A model from `inference_model`.
        output_name: What its output is called in the artifacts.
        scratch: A folder for intermediate files.
        io_type: "float32", "int8" or "uint8": what int8 TFLite files take and return.
        calibration: Images that stand for all that the model will see, (N, height, width,
            channels), for the formats that need them.
    """

    def __init__(
        self,
        model: keras.Model,
        output_name: str,
        scratch: Path,
        io_type: str = "float32",
        calibration: Any = None,
    ) -> None:
        self.model = model
        self.output_name = output_name
        self.scratch = scratch
        self.io_type = io_type
        self.calibration = calibration

    @property
    def input_signature(self) -> list[Any]:
        """The TensorSpec of the one input."""
        import tensorflow as tf

        return [tf.TensorSpec(self.model.inputs[0].shape, tf.float32, name=INPUT_NAME)]

    def serve(self, image: Any) -> dict[str, Any]:
        """The function that is traced: image in, named output out."""
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
        module.weights = [variable.value for variable in self.model.variables]
        module.serve = self.function
        path = self.scratch / "saved_model"
        with translated(f"Tracing {self.model.name!r} as a SavedModel"):
            tf.saved_model.save(module, str(path), signatures={SIGNATURE: module.serve})
        return path

    def layer_with(self, kinds: Collection[str]) -> str | None:
        """The first layer that traces to one of these kinds of TensorFlow operator."""
        operations = self.function.get_concrete_function().graph.get_operations()
        scopes = [operation.name.split("/") for operation in operations if operation.type in kinds]
        for layer in self.model.operations:
            # The second time that a layer is traced, its scope is called `name_1`.
            own = re.compile(rf"{re.escape(layer.name)}(_\d+)?")
            if any(own.fullmatch(part) for scope in scopes for part in scope[:-1]):
                return str(layer.name)
        return None
