"""The rows of the table: three kinds of Keras model, and all that `export` writes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_bottleneck.export import FORMATS, export_model, save_model
from keras_bottleneck.export.formats import Needs
from keras_bottleneck.export.inference import float32_model
from keras_bottleneck.graph import fold
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.quantization import is_quantized, quantize

Array = np.ndarray[Any, Any]

# What needs a quantized model is made from this row's.
QUANTIZED_ROW = "keras_int8"


@dataclass(frozen=True)
class Order:
    """One artifact that is to be made.

    Attributes:
        row: Its row in `ROWS`.
        name: Base of the file name.
        model: What it is made from, float or from `quantize`.
        labels: The names of its classes, or None.
        preprocessing: How images become its input, or None.
        task: "classification", "multi-label" or "regression".
        directory: Where it goes.
        verify: Images, and labels or None, that exported files are compared with Keras on.
        calibration: Images (N, height, width, channels) to measure ranges on, where the row needs
            them.
    """

    row: str
    name: str
    model: keras.Model
    labels: tuple[str, ...] | None
    preprocessing: Preprocessing | None
    task: str
    directory: Path
    verify: tuple[Array, Array | None]
    calibration: Array | None


@dataclass(frozen=True)
class Row:
    """One row: what its artifact is, from what and how it is made, and which packages run it."""

    format: str
    precision: str
    needs: Needs
    make: Callable[[Order], Path]
    packages: tuple[str, ...]


def _as_it_is(order: Order) -> Path:
    return _saved(order, float32_model(order.model), f"{order.name}.keras")


def _folded(order: Order) -> Path:
    return _saved(order, fold(float32_model(order.model)), f"{order.name}_folded.keras")


def _quantized(order: Order) -> Path:
    float_model = not is_quantized(order.model)
    model = quantize(order.model, order.calibration) if float_model else order.model
    return _saved(order, float32_model(model), f"{order.name}_int8.keras")


def _saved(order: Order, model: keras.Model, file_name: str) -> Path:
    path = order.directory / file_name
    return save_model(model, path, order.labels, order.preprocessing, order.task)


def _exported(order: Order) -> Path:
    report = export_model(
        order.model,
        order.directory,
        [order.row],
        name=order.name,
        labels=order.labels,
        preprocessing=order.preprocessing,
        verify=order.verify,
        image_size=order.verify[0].shape[1:3],
        calibration=order.calibration,
        task=order.task,
    )
    return report[order.row].path


KERAS = ("keras", "tensorflow")
PACKAGES = {
    "saved_model": ("tensorflow",),
    "tflite": ("ai-edge-litert",),
    "onnx": ("onnxruntime",),
}


def _exported_row(name: str) -> Row:
    form = FORMATS[name]
    kind = name.removesuffix(f"_{form.precision}")
    return Row(kind, form.precision, form.needs, _exported, PACKAGES[kind])


ROWS = {
    "keras": Row("keras", "float32", Needs.FLOAT, _as_it_is, KERAS),
    "keras_folded": Row("keras folded", "float32", Needs.FLOAT, _folded, KERAS),
    QUANTIZED_ROW: Row("keras", "int8", Needs.QUANTIZED, _quantized, KERAS),
    **{name: _exported_row(name) for name in FORMATS},
}
