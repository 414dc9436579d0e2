"""TFLite, with built-in operators only."""

from pathlib import Path
from typing import Any

from keras_bottleneck.export.errors import translated
from keras_bottleneck.export.source import Source
from keras_bottleneck.runtime.saved_model import SIGNATURE


def write_float32(source: Source, path: Path) -> None:
    """Write `source` as it is."""
    _convert(_converter(source), source, path)


def write_float16(source: Source, path: Path) -> None:
    """Write `source` with float16 weights; runtimes compute in float32, or in float16 on a GPU."""
    import tensorflow as tf

    converter = _converter(source)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    _convert(converter, source, path)


def write_dynamic(source: Source, path: Path) -> None:
    """Write `source` with int8 weights and activations that are quantized as they come."""
    import tensorflow as tf

    converter = _converter(source)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    _convert(converter, source, path)


def write_int8(source: Source, path: Path) -> None:
    """Write `source`, a quantized model, in integers.

    The ranges are those of its fake quantizers. `TFLITE_BUILTINS_INT8` must not be asked for:
    the converter would then demand a representative dataset all the same.
    """
    import tensorflow as tf

    converter = _converter(source)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = tf.dtypes.as_dtype(source.io_type)
    converter.inference_output_type = tf.dtypes.as_dtype(source.io_type)
    _convert(converter, source, path)


def write_int16(source: Source, path: Path) -> None:
    """Write `source`, a float model, with int16 activations and int8 weights.

    The converter calibrates: of 16-bit fake quantizers it makes wrong files without a word.
    """
    import tensorflow as tf

    opset = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    converter = _converter(source)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [opset]
    converter.representative_dataset = lambda: ([image[None]] for image in source.calibration)
    _convert(converter, source, path)


def _converter(source: Source) -> Any:
    import tensorflow as tf

    path = str(source.saved_model)
    return tf.lite.TFLiteConverter.from_saved_model(path, signature_keys=[SIGNATURE])


def _convert(converter: Any, source: Source, path: Path) -> None:
    with translated(f"TFLite conversion of {source.title}", source.layer_with):
        content = converter.convert()
    path.write_bytes(content)
