"""ONNX."""

from pathlib import Path

from keras_bottleneck import checks
from keras_bottleneck.export.errors import ExportError
from keras_bottleneck.export.source import Source

# The first with per-channel QuantizeLinear semantics settled in all runtimes of today.
OPSET = 17


def write(source: Source, path: Path) -> None:
    """Write `source` as ONNX."""
    import onnx
    import tensorflow as tf
    import tf2onnx

    signature = source.input_signature
    function = tf.function(source.serve, input_signature=signature)
    try:
        proto, _ = tf2onnx.convert.from_function(function, signature, opset=OPSET)
        onnx.checker.check_model(proto)
    except Exception as error:  # tf2onnx raises whatever its rewriters raise
        raise ExportError(
            f"ONNX conversion of {source.model.name!r} failed: {checks.first_line(error)}."
        ) from None
    onnx.save(proto, str(path))
