"""What is filled into a program: the facts of an artifact as literals of its language."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from keras_bottleneck.preprocessing import MODES, Preprocessing
from keras_bottleneck.runtime import Predictor
from keras_bottleneck.runtime.problems import need
from keras_bottleneck.tasks import REGRESSION

# Of red, green, blue, alpha and grey, by the model's channels.
PLANES = {1: [4], 3: [0, 1, 2], 4: [0, 1, 2, 3]}


def problem(predictor: Predictor) -> str | None:
    """Why no program can be written for an artifact; None where one can."""
    if not predictor.single:
        return "it has several inputs or outputs"
    if predictor.preprocessing is None:
        return "it carries no preprocessing"
    if predictor.preprocessing.channels not in PLANES:
        return f"it takes {predictor.preprocessing.channels} channels, not 1, 3 or 4"
    if predictor.input_shape[0] not in (1, None):
        return f"it takes batches of {predictor.input_shape[0]}"
    outputs = _outputs(predictor)
    if outputs.ndim != 2 or (
        predictor.output_name == "features" and not predictor.gives_numbers(outputs)
    ):
        return "it is no classifier of whole images"
    return None


def values_of(predictor: Predictor) -> dict[str, str]:
    """The values of every template for the artifact that `predictor` has opened."""
    preprocessing, metadata = predictor.preprocessing, predictor.metadata
    assert preprocessing is not None and metadata is not None
    labels = labels_of(predictor)
    outputs = _outputs(predictor)
    labels_file = f"{metadata.name}_labels"
    return {
        "file": predictor.path.name,
        "stem": predictor.path.stem,
        "labels": f"{labels_file}.txt",
        "labels_stem": labels_file,
        "labels_list": "\n".join(f"  {json.dumps(label, ensure_ascii=False)}," for label in labels),
        "input_name": predictor.input_name,
        "output_name": predictor.output_name,
        "task": REGRESSION if predictor.gives_numbers(outputs) else predictor.task,
        "logits": _literal(predictor.output_name == "logits"),
        "logits_python": str(predictor.output_name == "logits"),
        **_session_options(metadata.needs_vnni),
        **_preprocessing_values(preprocessing),
        **_tensor_values(predictor.path, (1, *preprocessing.input_shape), (1, outputs.shape[-1])),
    }


def labels_of(predictor: Predictor) -> tuple[str, ...]:
    """A name for each class, label or number: its index where the artifact has no labels."""
    if predictor.labels is not None:
        return predictor.labels
    outputs = _outputs(predictor)
    columns = outputs.shape[-1]
    if columns == 1:
        return ("value",) if predictor.gives_numbers(outputs) else ("0", "1")
    return tuple(str(index) for index in range(columns))


def tensor_type(path: Path) -> str:
    """The type of the artifact's input and output: float32, int8 or uint8."""
    return np.dtype(_details(path)[0]["dtype"]).name if path.suffix == ".tflite" else "float32"


def _outputs(predictor: Predictor) -> np.ndarray:
    shape = [1 if side is None else side for side in predictor.input_shape]
    assert predictor.preprocessing is not None
    shape[1:] = predictor.preprocessing.input_shape
    return predictor.run(np.zeros(shape, np.float32))


def _session_options(needs_vnni: bool) -> dict[str, str]:
    """Lines that keep sums of int8 products right; none for files whose codes do not overflow."""
    why = "Sums of int8 products overflow otherwise on x86 processors without VNNI."
    entry = '"session.x64quantprecision", "1"'
    python = f"""        # {why}
        processor = Path("/proc/cpuinfo")
        if not (processor.is_file() and "vnni" in processor.read_text()):
            options.add_session_config_entry({entry})
"""
    cpp = f"""  // {why}
  std::ifstream processor("/proc/cpuinfo");
  const std::string features{{std::istreambuf_iterator<char>(processor), {{}}}};
  if (features.find("vnni") == std::string::npos) options.AddConfigEntry({entry});
"""
    return {
        "session_options_python": python if needs_vnni else "",
        "session_options_cpp": cpp if needs_vnni else "",
    }


def _preprocessing_values(preprocessing: Preprocessing) -> dict[str, str]:
    height, width = preprocessing.image_size
    scale, mean, std, order = preprocessing.normalization
    planes = PLANES[preprocessing.channels]
    planes = planes[::-1] if order == "bgr" else planes
    fraction = preprocessing.crop_fraction
    keep_aspect = preprocessing.resize == "crop"
    cubic = preprocessing.interpolation == "bicubic"
    return {
        "height": str(height),
        "width": str(width),
        "rows": str(round(height / fraction)),
        "columns": str(round(width / fraction)),
        "keep_aspect": _literal(keep_aspect),
        "keep_aspect_python": str(keep_aspect),
        "cubic": _literal(cubic),
        "filter": preprocessing.interpolation.upper(),
        "channels": str(preprocessing.channels),
        "mode": MODES[preprocessing.channels],
        "planes": _list(planes),
        "planes_python": _list([0] if planes == [4] else planes),
        "scale": repr(scale),
        "mean": _list(mean),
        "std": _list(std),
    }


def _tensor_values(path: Path, *shapes: tuple[int, ...]) -> dict[str, str]:
    values = {}
    details = _details(path) if path.suffix == ".tflite" else [{}, {}]
    for side, shape, tensor in zip(("input", "output"), shapes, details, strict=True):
        dtype = np.dtype(tensor.get("dtype", np.float32))
        values[side] = f"{dtype.name} {shape}"
        if dtype.kind in "iu":
            scale, zero_point = tensor["quantization"]
            values[side] += f", scale {float(scale)!r}, zero point {zero_point}"
            values[f"{side}_scale"] = repr(float(scale))
            values[f"{side}_zero_point"] = f"({zero_point})"
    return values


def _details(path: Path) -> list[dict[str, Any]]:
    litert = need("ai_edge_litert.interpreter", "ai-edge-litert", "TFLite file")
    interpreter = litert.Interpreter(str(path))
    return [*interpreter.get_input_details(), *interpreter.get_output_details()]


def _literal(value: bool) -> str:
    return "true" if value else "false"


def _list(values: Iterable[float]) -> str:
    return ", ".join(map(repr, values))
