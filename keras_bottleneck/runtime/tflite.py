"""TFLite files in LiteRT (`ai-edge-litert`)."""

from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from keras_bottleneck.runtime.batching import in_batches
from keras_bottleneck.runtime.problems import check_single, need, unreadable
from keras_bottleneck.runtime.storage import MEMBER, read_member, write_members

KIND = "TFLite file"
LABELS_MEMBER = "labels.txt"


class TFLite:
    """A .tflite file, run by LiteRT's interpreter.

    Inputs and outputs are float32 for the caller; where the file's own are int8 or uint8, its
    scale and zero point translate. Safe to call from several threads, one at a time: LiteRT's
    interpreter holds the tensors of one call.

    Args:
        path: The .tflite file.
        threads: CPU threads of the interpreter; None leaves the number to LiteRT.

    Raises:
        ValueError: If the file is not a TFLite model with one input and one output.
        ImportError: If `ai-edge-litert` is not installed.
    """

    def __init__(self, path: Path, threads: int | None = None):
        litert = need("ai_edge_litert.interpreter", "ai-edge-litert", KIND)
        try:
            self._interpreter = litert.Interpreter(str(path), num_threads=threads)
            self._interpreter.allocate_tensors()
            inputs = self._interpreter.get_input_details()
            outputs = self._interpreter.get_output_details()
            signatures = self._interpreter.get_signature_list()
        except Exception as error:  # names that are no text, types that NumPy has not, and more
            raise unreadable(path, KIND, error) from None
        check_single(path, KIND, inputs, outputs)
        self._input, self._output = inputs[0], outputs[0]
        self._lock = Lock()
        shape = self._input["shape_signature"]
        self.input_shape = tuple(None if side < 0 else int(side) for side in shape)
        self.input_name, self.output_name = self._names(signatures)

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Outputs for `batch`, float32 in and out."""
        with self._lock:
            return in_batches(self._invoke, batch, self.input_shape[0])

    def _invoke(self, batch: np.ndarray) -> np.ndarray:
        index = self._input["index"]
        if tuple(self._interpreter.get_input_details()[0]["shape"]) != batch.shape:
            self._interpreter.resize_tensor_input(index, batch.shape)
            self._interpreter.allocate_tensors()
        self._interpreter.set_tensor(index, _quantized(batch, self._input))
        self._interpreter.invoke()
        return _dequantized(self._interpreter.get_tensor(self._output["index"]), self._output)

    def _names(self, signatures: dict[str, dict[str, list[str]]]) -> tuple[str, str]:
        # Tensors bear the converter's names ("serving_default_image:0"), signatures the author's.
        for signature in signatures.values():
            if signature["inputs"] and signature["outputs"]:
                return signature["inputs"][0], signature["outputs"][0]
        return self._input["name"], self._output["name"]


def _quantized(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    dtype = np.dtype(details["dtype"])
    if not np.issubdtype(dtype, np.integer):
        return values.astype(dtype)
    scale, zero_point = details["quantization"]
    steps = np.rint(values / np.float32(scale or 1)) + zero_point
    return np.clip(steps, np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype)


def _dequantized(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    if not np.issubdtype(values.dtype, np.integer):
        return values.astype(np.float32)
    scale, zero_point = details["quantization"]
    return (values.astype(np.float32) - np.float32(zero_point)) * np.float32(scale or 1)


def read_metadata(path: Path) -> str | None:
    """The metadata text in the zip archive at the file's tail; None where there is none.

    Raises:
        ValueError: If the archive is damaged or cut off.
    """
    text = read_member(path, MEMBER, KIND)
    # The model in front still loads when the tail is cut, and would then predict from raw pixels.
    if text is None and MEMBER.encode() in path.read_bytes():
        raise unreadable(path, KIND, "the metadata at its end is cut off")
    return text


def write_metadata(path: Path, text: str, labels: tuple[str, ...] | None) -> None:
    """Appends `text`, and `labels` as labels.txt, where TFLite's own tools look for them."""
    lines = None if labels is None else "".join(f"{label}\n" for label in labels)
    write_members(path, {MEMBER: text, LABELS_MEMBER: lines})
