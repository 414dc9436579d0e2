"""All that a step of a training changes, as arrays: taken out of a model, and put back."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_bottleneck import keras_private


def state_of(model: keras.Model) -> dict[str, np.ndarray]:
    """The state of a compiled model amid its training, as arrays of their own.

    That is its weights, the seeds of its random layers, its optimizer with moments, running
    averages, loss scale and step, the metrics of the epoch, and Keras's global seed.
    """
    return {
        f"{kind}.{index:05d}": np.array(keras.ops.convert_to_numpy(variable))
        for kind, variables in _variables(model).items()
        for index, variable in enumerate(variables)
    }


def set_state(model: keras.Model, arrays: Mapping[str, np.ndarray], *kinds: str) -> None:
    """Puts back what `state_of` gave, but for the metrics, or `kinds` of it alone.

    Args:
        model: One like the one that it was taken from, compiled in the same way.
        arrays: By name; others are passed over.
        *kinds: "model", "optimizer", "metrics" or "seed".
    """
    if not model.optimizer.built:  # that which scales losses would make its variables once more
        model.optimizer.build(model.trainable_variables)
    keras_private.global_seed(make="seed.00000" in arrays)
    held = _variables(model)
    for kind in kinds or ("model", "optimizer", "seed"):
        for index, variable in enumerate(held[kind]):
            if (name := f"{kind}.{index:05d}") in arrays:  # perhaps nothing had been drawn then
                variable.assign(arrays[name])


def shapes_of(model: keras.Model) -> list[list[Any]]:
    """[shape, dtype] of each variable: what tells whether a state is that of such a model."""
    return [[list(one.shape), str(one.dtype)] for one in model.variables]


def is_mirrored(model: keras.Model) -> bool:
    """Whether tf.distribute holds the variables, with a copy on each device that trains."""
    if keras.config.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return all(isinstance(one.value, tf.distribute.DistributedValues) for one in model.variables)


def build_metrics(model: keras.Model) -> None:
    """Makes the variables of a classifier's metrics, which Keras makes in its first step."""
    classes = model.outputs[0].shape[-1]
    nothing = np.zeros((1, classes), "float32")
    model.compute_metrics(None, np.zeros(1, "int32"), nothing)
    model.reset_metrics()


def _variables(model: keras.Model) -> dict[str, list[Any]]:
    seed = keras_private.global_seed()
    return {
        "model": model.variables,
        "optimizer": model.optimizer.variables,
        "metrics": model.metrics_variables,
        "seed": [] if seed is None else [seed],
    }
