"""SavedModel folders in TensorFlow, through the signature that a server would call."""

from pathlib import Path
from typing import Any

import numpy as np

from keras_bottleneck.checks import reject
from keras_bottleneck.files import replace_file
from keras_bottleneck.runtime.batching import in_batches
from keras_bottleneck.runtime.ports import Feed, Port
from keras_bottleneck.runtime.problems import check_ports, need, unreadable
from keras_bottleneck.runtime.storage import MEMBER

KIND = "SavedModel folder"
SIGNATURE = "serving_default"


class SavedModel:
    """A SavedModel folder's "serving_default" signature, run by TensorFlow.

    Args:
        path: The folder that holds saved_model.pb.
        threads: None; TensorFlow's threads belong to the process, not to a model.

    Raises:
        ValueError: If it is no SavedModel with inputs and outputs, or `threads` is given.
        ImportError: If `tensorflow` is not installed.
    """

    def __init__(self, path: Path, threads: int | None = None):
        tf = need("tensorflow", "tensorflow", KIND)
        if threads is not None:
            raise reject("threads", threads, "None for a SavedModel folder")
        try:
            # The signature does not keep the variables alive, the loaded object does.
            self._loaded = tf.saved_model.load(str(path))
        except Exception as error:  # TensorFlow, protobuf and the file system raise their own here
            raise unreadable(path, KIND, error) from None
        if SIGNATURE not in self._loaded.signatures:
            raise unreadable(path, KIND, f"it has no signature {SIGNATURE!r}")
        self._call = self._loaded.signatures[SIGNATURE]
        self._constant = tf.constant
        inputs = self._call.structured_input_signature[1]
        outputs = self._call.structured_outputs
        check_ports(path, KIND, inputs, outputs)
        self.inputs = tuple(_port(name, spec) for name, spec in inputs.items())
        self.outputs = tuple(_port(name, spec) for name, spec in outputs.items())

    def run(self, feed: Feed) -> Feed:
        """Outputs for a feed, float32 in and out."""
        return in_batches(self._run, feed, self.inputs[0].shape[0])

    def _run(self, feed: Feed) -> Feed:
        tensors = {port.name: self._constant(feed[port.name], port.dtype) for port in self.inputs}
        outputs = self._call(**tensors)
        return Feed(
            {port.name: outputs[port.name].numpy().astype(np.float32) for port in self.outputs}
        )


def _port(name: str, spec: Any) -> Port:
    shape = None if spec.shape.rank is None else tuple(spec.shape)
    return Port(name, shape or (None,), spec.dtype.name)


def read_metadata(path: Path) -> str | None:
    """The metadata text in `assets.extra`; None where there is none.

    Raises:
        ValueError: If the text is not UTF-8.
    """
    file = _file(path)
    try:
        return file.read_text("utf-8") if file.is_file() else None
    except UnicodeDecodeError as error:
        raise unreadable(path, KIND, error) from None


def write_metadata(path: Path, text: str, labels: tuple[str, ...] | None) -> None:
    """Stores `text` in `assets.extra`, which TensorFlow leaves alone. The labels travel in it."""
    _file(path).parent.mkdir(exist_ok=True)
    replace_file(_file(path), text.encode())


def _file(path: Path) -> Path:
    return path / "assets.extra" / MEMBER
