"""SavedModel folders in TensorFlow, through the signature that a server would call."""

from pathlib import Path

import numpy as np

from keras_bottleneck.checks import reject
from keras_bottleneck.files import replace_file
from keras_bottleneck.runtime.batching import in_batches
from keras_bottleneck.runtime.problems import check_single, need, unreadable
from keras_bottleneck.runtime.storage import MEMBER

KIND = "SavedModel folder"
SIGNATURE = "serving_default"


class SavedModel:
    """A SavedModel folder's "serving_default" signature, run by TensorFlow.

    Args:
        path: The folder that holds saved_model.pb.
        threads: None; TensorFlow's threads belong to the process, not to a model.

    Raises:
        ValueError: If it is no SavedModel with one input and one output, or `threads` is given.
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
        check_single(path, KIND, inputs, outputs)
        ((self.input_name, self._spec),) = inputs.items()
        (self.output_name,) = outputs
        self.input_shape = tuple(self._spec.shape)

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Outputs for `batch`, float32 in and out."""
        return in_batches(self._run, batch, self.input_shape[0])

    def _run(self, batch: np.ndarray) -> np.ndarray:
        outputs = self._call(**{self.input_name: self._constant(batch, self._spec.dtype)})
        return outputs[self.output_name].numpy().astype(np.float32)


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
