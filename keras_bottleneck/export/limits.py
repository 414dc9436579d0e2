"""What formats cannot hold, known from the traced model before any converter runs.

Converters say it at the end of their work, in words of their own, or crash. An operator that is
missing here is still refused when the converter stumbles over it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from keras_bottleneck.export.errors import ExportError
from keras_bottleneck.export.source import Source, Traced

Lacking = Callable[[Traced], bool]

TFLITE = ("tflite", "tflite_float16", "tflite_dynamic", "tflite_int16", "tflite_int8")
ONNX = ("onnx", "onnx_int8")
INT16 = ("tflite_int16",)


@dataclass(frozen=True)
class Limit:
    """What some formats cannot hold.

    Attributes:
        formats: Their rows in `FORMATS`.
        sentence: What they lack; `{operator}` is the TensorFlow operator's name.
        lacking: Whether they lack a traced operator.
    """

    formats: tuple[str, ...]
    sentence: str
    lacking: Lacking


def _any_of(*kinds: str) -> Lacking:
    return lambda traced: traced.operator.type in kinds


def _unless_gelu(lacking: Lacking) -> Lacking:
    """The converter makes one operator of a GELU, whatever it is traced to."""

    def outside(traced: Traced) -> bool:
        layer = traced.layer
        gelu = getattr(layer, "activation", None) is keras.activations.gelu
        return not gelu and type(layer).__name__ != "Gelu" and lacking(traced)

    return outside


def _quotient(traced: Traced) -> bool:
    """A division by what is no constant: by a constant it becomes a product."""
    operator = traced.operator
    return operator.type == "RealDiv" and any(
        operator.inputs[1] is tensor for tensor in traced.varying
    )


def _power(traced: Traced) -> bool:
    """A power that is neither a square nor the inverse of a root."""
    if traced.operator.type != "Pow":
        return False
    exponent = _value(traced.operator.inputs[1])
    return exponent is None or exponent.size != 1 or exponent.item() not in (2.0, -0.5)


def _hard_swish(traced: Traced) -> bool:
    """The product of x and relu6(x + 3), which becomes one operator."""
    if traced.operator.type != "Mul":
        return False
    left, right = map(_unscaled, traced.operator.inputs)
    return _clips(left, right) or _clips(right, left)


def _clips(gate: Any, x: Any) -> bool:
    if gate.op.type != "Relu6":
        return False
    total = _unscaled(gate.op.inputs[0])
    sums = total.op.type in ("Add", "AddV2")
    return sums and any(_unscaled(term) is x for term in total.op.inputs)


def _unscaled(tensor: Any) -> Any:
    """What `tensor` is a multiple of."""
    while tensor.op.type in ("Mul", "RealDiv", "EnsureShape", "Identity"):
        varying = [source for source in tensor.op.inputs if _value(source) is None]
        if len(varying) != 1:
            break
        (tensor,) = varying
    return tensor


def _value(tensor: Any) -> Any:
    """The constant that a traced tensor is, as an array; None where it is none."""
    import tensorflow as tf

    return tf.get_static_value(tensor)


def _grouped(*kinds: type) -> Lacking:
    """Grouped convolutions, which Keras compiles for TensorFlow alone."""

    def grouped(traced: Traced) -> bool:
        return isinstance(traced.layer, kinds) and getattr(traced.layer, "groups", 1) > 1

    return grouped


NO_TFLITE = "TFLite has no built-in operator for {operator}"
NO_ONNX = "ONNX has no operator for {operator}"
NO_INT16 = "TFLite has no {operator} with int16 activations"

LIMITS = (
    Limit(
        TFLITE,
        NO_TFLITE,
        _any_of(
            *("Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Cosh", "Sinh", "Tan", "Erfinv"),
            *("AvgPool3D", "MaxPool3D", "ResizeBicubic", "ScaleAndTranslate", "BitwiseAnd"),
        ),
    ),
    Limit(
        TFLITE,
        "TFLite has no grouped convolution in three dimensions",
        _grouped(keras.layers.Conv3D),
    ),
    Limit(ONNX, NO_ONNX, _any_of("Erfinv", "ScaleAndTranslate", "BitwiseAnd", "Bitcast")),
    Limit(
        ONNX,
        "tf2onnx makes no grouped convolution in one or three dimensions",
        _grouped(keras.layers.Conv1D, keras.layers.Conv3D),
    ),
    Limit(INT16, "TFLite has no hard swish with int16 activations", _hard_swish),
    Limit(
        INT16,
        NO_INT16,
        _unless_gelu(
            _any_of(
                *("Elu", "Selu", "LogSoftmax", "Softsign", "Neg", "Square", "Sqrt", "Reciprocal"),
                *("SquaredDifference", "Cumsum", "FloorMod", "FloorDiv", "Cos", "Sin", "Sign"),
                *("Ceil", "Floor", "Rint", "Round", "Equal", "NotEqual", "IsNan"),
                *("Greater", "GreaterEqual", "Less", "LessEqual", "TopKV2", "ArgMax", "ArgMin"),
                *("PadV2", "DepthToSpace", "Conv3D", "Conv3DBackpropInputV2"),
            )
        ),
    ),
    Limit(INT16, "TFLite has no quotient of two int16 tensors", _quotient),
    Limit(INT16, "TFLite has no power of int16 activations but the square", _unless_gelu(_power)),
    Limit(
        INT16,
        "TFLite has no loop, such as that of a recurrent layer, with int16 activations",
        _any_of("While", "StatelessWhile", "TensorListReserve", "PartitionedCall"),
    ),
)


def check_limits(source: Source, formats: list[str]) -> None:
    """Refuse what one of `formats` cannot hold.

    Raises:
        ExportError: If there is such a layer; the message names the first.
    """
    for name in formats:
        for limit in LIMITS:
            if name in limit.formats:
                _check(source, name, limit)


def _check(source: Source, name: str, limit: Limit) -> None:
    for traced in source.operators:
        if limit.lacking(traced):
            lack = limit.sentence.format(operator=traced.operator.type)
            known = traced.layer is not None
            needs = f", which layer {source.user_name(traced.layer)!r} needs" if known else ""
            raise ExportError(f"{lack}{needs}; replace it, or leave format {name!r} out.")
