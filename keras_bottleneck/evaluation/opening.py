"""The one opener of what is evaluated: a Keras model, a run, or an artifact of any kind."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from keras_bottleneck import checks, runtime
from keras_bottleneck.evaluation.answers import Array, keras_outputs
from keras_bottleneck.graph.endings import output_name
from keras_bottleneck.graph.rebuild import functional
from keras_bottleneck.image_model import model_preprocessing
from keras_bottleneck.preprocessing import Preprocessing


@dataclass(frozen=True)
class Opened:
    """A model that answers.

    Attributes:
        path: Its file or folder; None for a Keras model in memory.
        name: What errors call it: its path, or the name of the Keras model.
        run: From inputs (N, height, width, channels) to raw outputs, float32 (N, ...).
        input_shape: With None for free dimensions.
        output_name: What the outputs are; see `Answers`.
        labels: Names of its classes, or None.
        preprocessing: How images become its input, or None.
    """

    path: Path | None
    name: str
    run: Callable[[Array], Array]
    input_shape: tuple[int | None, ...]
    output_name: str
    labels: tuple[str, ...] | None
    preprocessing: Preprocessing | None


def opened(model: Any, threads: int | None = None) -> Opened:
    """The model that `model` names.

    Args:
        model: A Keras model, or what `runtime.load` opens.
        threads: As for `runtime.load`; None for a Keras model.

    Raises:
        ValueError: If it is neither, or a Keras model with several inputs or outputs.
        ImportError: If the runtime's package is not installed.
    """
    if not isinstance(model, keras.Model):
        predictor = runtime.load(model, threads)
        return Opened(
            path=predictor.path,
            name=str(predictor.path),
            run=predictor.run,
            input_shape=predictor.input_shape,
            output_name=predictor.output_name,
            labels=predictor.labels,
            preprocessing=predictor.preprocessing,
        )
    if threads is not None:
        raise checks.reject("threads", threads, "None for a Keras model")
    whole = functional(model)
    if len(whole.inputs) != 1 or len(whole.outputs) != 1:
        raise checks.reject("path", model.name, "a Keras model with one input and one output")
    return Opened(
        path=None,
        name=model.name,
        run=lambda inputs: keras_outputs(model, inputs),
        input_shape=tuple(whole.inputs[0].shape),
        output_name=output_name(model),
        labels=None,
        preprocessing=model_preprocessing(model),
    )
