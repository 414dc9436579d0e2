"""Keras files (.keras) in Keras, on whatever backend it runs."""

import importlib
from pathlib import Path

import numpy as np

from keras_bottleneck.checks import reject
from keras_bottleneck.runtime.batching import in_batches
from keras_bottleneck.runtime.ports import Feed, Port
from keras_bottleneck.runtime.problems import check_ports, need, unreadable
from keras_bottleneck.runtime.storage import MEMBER, read_member, write_members

KIND = "Keras file"


class KerasFile:
    """A .keras file, loaded in Keras's safe mode and called in inference mode.

    Args:
        path: The .keras file.
        threads: None; the backend's threads belong to the process, not to a model.

    Raises:
        ValueError: If it is no Keras model with inputs and outputs, or `threads` is given.
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
        check_ports(path, KIND, inputs, outputs)
        self._to_numpy, self._flat = keras.ops.convert_to_numpy, keras.tree.flatten
        self._packed = importlib.import_module("keras_bottleneck.keras_private").packed
        for weight in self._model.weights:
            if not np.isfinite(np.asarray(self._to_numpy(weight), np.float32)).all():
                raise unreadable(path, KIND, f"{weight.path} holds NaN or infinity")
        signature = importlib.import_module("keras_bottleneck.signature")
        try:
            names = signature.input_names(self._model), signature.output_names(self._model)
        except ValueError as error:
            raise unreadable(path, KIND, str(error)) from None
        self.inputs, self.outputs = (
            tuple(Port(name, tuple(one.shape)) for name, one in zip(own, tensors, strict=True))
            for own, tensors in zip(names, (inputs, outputs), strict=True)
        )

    def run(self, feed: Feed) -> Feed:
        """Outputs for a feed, float32 in and out."""
        return in_batches(self._run, feed, self.inputs[0].shape[0])

    def _run(self, feed: Feed) -> Feed:
        taken = self._packed(self._model, [feed[port.name] for port in self.inputs])
        outputs = self._flat(self._model(taken, training=False))
        found = (self._to_numpy(one).astype(np.float32) for one in outputs)
        names = (port.name for port in self.outputs)
        return Feed(dict(zip(names, found, strict=True)))


def read_metadata(path: Path) -> str | None:
    """The metadata text among the members of the .keras archive; None where there is none.

    Raises:
        ValueError: If the archive is damaged.
    """
    return read_member(path, MEMBER, KIND)


def write_metadata(path: Path, text: str, labels: tuple[str, ...] | None) -> None:
    """Adds `text` to the members of the .keras archive. The labels travel in it."""
    write_members(path, {MEMBER: text})
