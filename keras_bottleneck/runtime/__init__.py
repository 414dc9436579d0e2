"""From files to predictions, without keras or tensorflow where the file does not need them."""

from pathlib import Path

from keras_bottleneck.checks import integer
from keras_bottleneck.runtime import kinds, metadata
from keras_bottleneck.runtime.metadata import Metadata
from keras_bottleneck.runtime.predictor import Predictor

__all__ = ["Metadata", "Predictor", "load"]


def load(path: str | Path, threads: int | None = None) -> Predictor:
    """Opens an artifact in its own runtime.

    Args:
        path: .tflite file (LiteRT), .onnx file (ONNX Runtime), .keras file (Keras), or SavedModel
            folder (TensorFlow).
        threads: CPU threads for .tflite and .onnx; None leaves the number to the runtime.

    Raises:
        ValueError: If there is no such artifact, or it or its metadata is damaged.
        ImportError: If the runtime's package is not installed; the message names it.

    Example:
        >>> load("model.tflite", threads=2)("cat.jpg", top=1)  # doctest: +SKIP
        [('cat', 0.93)]
    """
    found, kind = kinds.find(path)
    count = None if threads is None else integer("threads", threads)
    return Predictor(found, kind.open(found, count), metadata.read(found))
