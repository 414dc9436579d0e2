"""What a model or an artifact answers to its inputs."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np

from keras_bottleneck import keras_private
from keras_bottleneck.runtime.batching import in_batches
from keras_bottleneck.runtime.classes import probabilities_of

Array = np.ndarray[Any, Any]

BATCH = 32


@dataclass(frozen=True)
class Answers:
    """The outputs for N samples, and what they are.

    Attributes:
        outputs: As the model returns them: (N, columns); (N, height, width, columns) of a
            segmenter.
        output_name: "probabilities", "logits", or "features" of a model without classes.

    Example:
        >>> Answers(np.array([[0.1, 0.9]]), "probabilities").classes
        array([1])
    """

    outputs: Array
    output_name: str

    @cached_property
    def probabilities(self) -> Array | None:
        """Of the classes, (N, ..., classes); None where there are no classes."""
        if self.output_name == "features":
            return None
        return probabilities_of(self.outputs, self.output_name)

    @cached_property
    def classes(self) -> Array | None:
        """The index of the most probable class, (N, ...); None where there are no classes."""
        return None if self.probabilities is None else self.probabilities.argmax(-1)


def keras_outputs(model: keras.Model, inputs: Array) -> Array:
    """The outputs of a Keras model at inference, float32 (N, ...)."""

    def run(batch: Array) -> Array:
        # Called, not `predict`ed: that would leave a compiled function on the user's model.
        images = keras_private.as_taken(model, batch)
        (output,) = keras.tree.flatten(model(images, training=False))
        return np.asarray(keras.ops.convert_to_numpy(output), np.float32)

    fixed = model.inputs[0].shape[0]
    pieces = np.split(inputs, range(BATCH, len(inputs), BATCH))
    return np.concatenate([in_batches(run, piece, fixed) for piece in pieces])
