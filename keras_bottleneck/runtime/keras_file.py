"""Keras files (.keras) in Keras, on whatever backend it runs."""

import importlib
from pathlib import Path

import numpy as np

from keras_bottleneck.checks import reject
from keras_bottleneck.runtime.batching import in_batches
from keras_bottleneck.runtime.problems import check_single, need, unreadable
from keras_bottleneck.runtime.storage import MEMBER, read_member, write_members

KIND = "Keras file"


class KerasFile:
    """A .keras file, loaded in Keras's safe mode and called in inference mode.

    Args:
        path: The .keras file.
        threads: None; the backend's threads belong to the process, not to a model.

    Raises:
        ValueError: If it is no Keras model with one input and one output, or `threads` is given.
        ImportError: If `keras` is not installed.
    """

    def __init__(self, path: Path, threads: int | None = None):
        keras = need("keras", "keras", KIND)
        if threads is not None:
            raise reject("threads", threads, "None for a Keras file")
        try:
            self._model = keras.models.load_model(path, compile=False)
        except Exception as error:  # zip, JSON, HDF5 and Keras raise their own here
            raise unreadable(path, KIND, error) from None
        inputs, outputs = list(self._model.inputs or []), list(self._model.outputs or [])
        check_single(path, KIND, inputs, outputs)
        self._to_numpy, self._flat = keras.ops.convert_to_numpy, keras.tree.flatten
        self._as_taken = importlib.import_module("keras_bottleneck.keras_private").as_taken
        for weight in self._model.weights:
            if not np.isfinite(np.asarray(self._to_numpy(weight), np.float32)).all():
                raise unreadable(path, KIND, f"{weight.path} holds NaN or infinity")
        self.input_shape = tuple(inputs[0].shape)
        self.input_name: str = inputs[0].name
        self.output_name: str = self._model.output_names[0]

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Outputs for `batch`, float32 in and out."""
        return in_batches(self._run, batch, self.input_shape[0])

    def _run(self, batch: np.ndarray) -> np.ndarray:
        images = self._as_taken(self._model, batch)
        (outputs,) = self._flat(self._model(images, training=False))
        return self._to_numpy(outputs).astype(np.float32)


def read_metadata(path: Path) -> str | None:
    """The metadata text among the members of the .keras archive; None where there is none.

    Raises:
        ValueError: If the archive is damaged.
    """
    return read_member(path, MEMBER, KIND)


def write_metadata(path: Path, text: str, labels: tuple[str, ...] | None) -> None:
    """Adds `text` to the members of the .keras archive. The labels travel in it."""
    write_members(path, {MEMBER: text})
