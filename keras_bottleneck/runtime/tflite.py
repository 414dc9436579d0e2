"""TFLite files in LiteRT (`ai-edge-litert`)."""

from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from keras_bottleneck.runtime.batching import in_batches
from keras_bottleneck.runtime.ports import Feed, Port
from keras_bottleneck.runtime.problems import check_ports, need, unreadable
from keras_bottleneck.runtime.storage import MEMBER, read_member, write_members

KIND = "TFLite file"
LABELS_MEMBER = "labels.txt"


class TFLite:
    """A .tflite file, run by LiteRT's interpreter.

    Inputs and outputs are float32 for the caller, and called as in the file's signature; where the
    file's own are int8 or uint8, its scale and zero point translate. Safe to call from several
    threads, one at a time: LiteRT's interpreter holds the tensors of one call.

    Args:
        path: The .tflite file.
        threads: CPU threads of the interpreter; None leaves the number to LiteRT.

    Raises:
        ValueError: If the file is not a TFLite model with inputs and outputs.
        ImportError: If `ai-edge-litert` is not installed.
    """

    def __init__(self, path: Path, threads: int | None = None):
        litert = need("ai_edge_litert.interpreter", "ai-edge-litert", KIND)
        try:
            self._interpreter = litert.Interpreter(str(path), num_threads=threads)
            self._interpreter.allocate_tensors()
            inputs, outputs = _named(self._interpreter)
        except Exception as error:  # names that are no text, types that NumPy has not, and more
            raise unreadable(path, KIND, error) from None
        check_ports(path, KIND, inputs, outputs)
        self._indices = {name: details["index"] for name, details in inputs.items()}
        self._places = {name: details["index"] for name, details in outputs.items()}
        self._shapes = {name: tuple(details["shape"]) for name, details in inputs.items()}
        self._lock = Lock()
        self.inputs = tuple(_port(name, details) for name, details in inputs.items())
        self.outputs = tuple(_port(name, details) for name, details in outputs.items())

    def run(self, feed: Feed) -> Feed:
        """Outputs for a feed, float32 in and out."""
        with self._lock:
            return in_batches(self._invoke, feed, self.inputs[0].shape[0])

    def _invoke(self, feed: Feed) -> Feed:
        self._resize({name: feed[name].shape for name in self._indices})
        for port in self.inputs:
            values = port.quantized(feed[port.name])
            self._interpreter.set_tensor(self._indices[port.name], values)
        self._interpreter.invoke()
        return Feed(
            {
                port.name: port.dequantized(self._interpreter.get_tensor(self._places[port.name]))
                for port in self.outputs
            }
        )

    def _resize(self, shapes: dict[str, tuple[int, ...]]) -> None:
        if shapes == self._shapes:
            return
        for name, shape in shapes.items():
            self._interpreter.resize_tensor_input(self._indices[name], shape)
        self._interpreter.allocate_tensors()
        self._shapes = shapes


def _named(interpreter: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The details of each input and output, by name."""
    # Tensors bear the converter's names ("serving_default_image:0"), and the converter reorders
    # them; signatures have the author's.
    for key, signature in interpreter.get_signature_list().items():
        if signature["inputs"] and signature["outputs"]:
            runner = interpreter.get_signature_runner(key)
            return runner.get_input_details(), runner.get_output_details()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    return {one["name"]: one for one in inputs}, {one["name"]: one for one in outputs}


def _port(name: str, details: dict[str, Any]) -> Port:
    dtype = np.dtype(details["dtype"])
    integers = np.issubdtype(dtype, np.integer)
    scale, zero_point = details["quantization"]
    return Port(
        name,
        tuple(None if side < 0 else int(side) for side in details["shape_signature"]),
        dtype.name,
        float(scale) if integers else None,
        int(zero_point) if integers else 0,
    )


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
