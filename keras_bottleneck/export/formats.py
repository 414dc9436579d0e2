"""The artifacts that can be written: one row each."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from keras_bottleneck.export import onnx, saved_model, tflite
from keras_bottleneck.export.source import Source


@dataclass(frozen=True)
class Format:
    """How one kind of artifact is named and written, and how close it must come to Keras.

    `tolerance` bounds the largest difference of an output: absolute for probabilities, as a
    part of the largest output otherwise. Float32 runtimes differ from Keras by rounding alone;
    float16 weights have 11 significant bits, int8 weights 8.
    """

    file_name: str
    write: Callable[[Source, Path], None]
    tolerance: float


FORMATS = {
    "saved_model": Format("{name}_saved_model", saved_model.write, 1e-4),
    "tflite": Format("{name}.tflite", tflite.write_float32, 1e-4),
    "tflite_float16": Format("{name}_float16.tflite", tflite.write_float16, 1e-2),
    "tflite_dynamic": Format("{name}_dynamic.tflite", tflite.write_dynamic, 1e-1),
    "onnx": Format("{name}.onnx", onnx.write, 1e-4),
}
