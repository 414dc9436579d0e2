"""ONNX files in ONNX Runtime, on the CPU."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from keras_bottleneck import processor
from keras_bottleneck.files import replace_file
from keras_bottleneck.runtime.batching import in_batches
from keras_bottleneck.runtime.ports import Feed, Port, Shape
from keras_bottleneck.runtime.problems import check_ports, need, unreadable

KIND = "ONNX file"
METADATA_KEY = "keras_bottleneck"
# Where ONNX's protobuf messages keep it, and how protobuf marks what follows.
PROPERTIES, KEY, VALUE = 14, 1, 2
VARINT, LENGTH_DELIMITED = 0, 2
FIXED = {1: 8, 5: 4}
LONGEST_VARINT = 10
DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


class ONNX:
    """An .onnx file, run by ONNX Runtime's CPU provider.

    Args:
        path: The .onnx file.
        threads: CPU threads within an operator; None leaves the number to ONNX Runtime.
        plain: Whether to open it as `onnxruntime.InferenceSession` does without options, also
            where its sums may then be wrong.

    Raises:
        ValueError: If the file is not an ONNX model with float inputs and outputs.
        ImportError: If `onnxruntime` is not installed.
    """

    def __init__(self, path: Path, threads: int | None = None, plain: bool = False):
        self._session = _session(path, threads, not plain and needs_care(path))
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        check_ports(path, KIND, inputs, outputs)
        for taken in inputs:
            if taken.type not in DTYPES:
                raise unreadable(path, f"{KIND} with a float input", f"it takes {taken.type}")
        self.inputs = tuple(Port(one.name, _shape(one), _dtype(one)) for one in inputs)
        self.outputs = tuple(Port(one.name, _shape(one), _dtype(one)) for one in outputs)

    def run(self, feed: Feed) -> Feed:
        """Outputs for a feed, float32 in and out."""
        return in_batches(self._run, feed, self.inputs[0].shape[0])

    def _run(self, feed: Feed) -> Feed:
        values = {port.name: port.quantized(feed[port.name]) for port in self.inputs}
        names = [port.name for port in self.outputs]
        found = self._session.run(names, values)
        return Feed({name: one.astype(np.float32) for name, one in zip(names, found, strict=True)})


def _shape(argument: Any) -> Shape:
    return tuple(side if isinstance(side, int) else None for side in argument.shape)


def _dtype(argument: Any) -> str:
    """As NumPy calls "tensor(float)", float32; of what it has not, ONNX Runtime's own word."""
    kind = DTYPES.get(argument.type)
    return argument.type if kind is None else np.dtype(kind).name


def needs_care(path: Path) -> bool:
    """Whether sums of int8 products in a file would saturate on this processor.

    A file without metadata may hold any codes.
    """
    if not processor.may_saturate():
        return False
    text = read_metadata(path)
    try:
        return text is None or bool(json.loads(text)["needs_vnni"])
    except (ValueError, KeyError, TypeError):  # what reads the metadata will refuse them
        return True


def _session(path: Path, threads: int | None, careful: bool) -> Any:
    ort = need("onnxruntime", "onnxruntime", KIND)
    options = ort.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    # Another way to the sums, which does not saturate and takes longer.
    if careful:
        options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exception classes share no base but this one
        raise unreadable(path, KIND, error) from None


def read_metadata(path: Path) -> str | None:
    """The metadata text in the file's `metadata_props`; None where there is none.

    Only the outermost layer of the file is looked at: opening it in ONNX Runtime a second time
    would take as long as the first.

    Raises:
        ValueError: If the file is not an ONNX model.
    """
    content = memoryview(path.read_bytes())
    try:
        entries = [_fields(entry) for number, entry in _fields(content) if number == PROPERTIES]
        found = {bytes(entry[KEY]): bytes(entry[VALUE]) for entry in map(dict, entries)}
        text = found.get(METADATA_KEY.encode())
        return None if text is None else text.decode()
    except (ValueError, KeyError, IndexError) as error:
        raise unreadable(path, KIND, error) from None


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of the fields of a protobuf message that are texts or messages."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == LENGTH_DELIMITED:
            size, at = _varint(message, at)
            if at + size > len(message):
                raise ValueError("it is cut off")
            yield tag >> 3, message[at : at + size]
            at += size
        elif kind == VARINT:
            at = _varint(message, at)[1]
        elif kind in FIXED:
            at += FIXED[kind]
        else:
            raise ValueError("it is damaged, or no ONNX model")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number at `at`, and where the next thing begins."""
    found = 0
    for place in range(LONGEST_VARINT):
        byte = message[at + place]
        found |= (byte & 127) << 7 * place
        if byte < 128:
            return found, at + place + 1
    raise ValueError("it is damaged, or no ONNX model")


def write_metadata(path: Path, text: str, labels: tuple[str, ...] | None) -> None:
    """Stores `text` in the file's `metadata_props`. The labels travel in it.

    Raises:
        ValueError: If the file is not an ONNX model.
        ImportError: If `onnx` is not installed.
    """
    onnx = need("onnx", "onnx", KIND)
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's DecodeError, without importing protobuf for its name
        raise unreadable(path, KIND, error) from None
    kept = {prop.key: prop.value for prop in model.metadata_props}
    onnx.helper.set_model_props(model, {**kept, METADATA_KEY: text})
    replace_file(path, model.SerializeToString(deterministic=True))
