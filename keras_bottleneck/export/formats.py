"""The artifacts that can be written: one row each."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from keras_bottleneck.evaluation.answers import Array
from keras_bottleneck.evaluation.metrics import difference, noise
from keras_bottleneck.export import onnx, saved_model, tflite
from keras_bottleneck.export.source import Source


class Needs(Enum):
    """What a format is written from."""

    FLOAT = "a float model"
    CALIBRATION = "a float model and `calibration` images"
    QUANTIZED = "a model from `quantize`"


@dataclass(frozen=True)
class Format:
    """How one kind of artifact is named and written, and how close it must come to Keras.

    `tolerance` bounds what `measure` says: by default the largest difference of an output,
    absolute for probabilities, as a part of the largest output otherwise. Float32 runtimes
    differ from Keras by rounding alone; float16 weights have 11 significant bits, int8 weights
    8. Two int8 runtimes differ in single outputs by what one rounding early in the network has
    grown to; they are measured over all samples instead. `precision` is what its weights are
    stored in; "dynamic" is int8 weights beside activations quantized as they come.
    """

    file_name: str
    write: Callable[[Source, Path], None]
    tolerance: float
    needs: Needs = Needs.FLOAT
    precision: str = "float32"
    measure: Callable[[Array, Array, str], float] = difference


FORMATS = {
    "saved_model": Format("{name}_saved_model", saved_model.write, 1e-4),
    "tflite": Format("{name}.tflite", tflite.write_float32, 1e-4),
    "tflite_float16": Format(
        "{name}_float16.tflite", tflite.write_float16, 1e-2, precision="float16"
    ),
    "tflite_dynamic": Format(
        "{name}_dynamic.tflite", tflite.write_dynamic, 1e-1, precision="dynamic"
    ),
    "tflite_int16": Format(
        "{name}_int16.tflite", tflite.write_int16, 1e-1, Needs.CALIBRATION, "int16", noise
    ),
    "tflite_int8": Format(
        "{name}_int8.tflite", tflite.write_int8, 0.2, Needs.QUANTIZED, "int8", noise
    ),
    "onnx": Format("{name}.onnx", onnx.write, 1e-4),
    "onnx_int8": Format("{name}_int8.onnx", onnx.write_int8, 0.2, Needs.QUANTIZED, "int8", noise),
}
FLOAT_FORMATS = tuple(name for name, row in FORMATS.items() if row.needs is Needs.FLOAT)
DEFAULT_FORMATS = {
    Needs.FLOAT: ("saved_model", "tflite", "onnx"),
    Needs.QUANTIZED: ("tflite_int8", "onnx_int8"),
}
