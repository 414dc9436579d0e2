"""Kernel codes that x86 processors without VNNI multiply without an overflow.

Such a processor multiplies two neighbouring 8-bit activations with two codes of a kernel and adds
both products in 16 bits (VPMADDUBSW), which saturates beyond 32,767. An activation is at most 255:
where two neighbouring codes sum to no more than 128 in either direction, no input overflows.
Neighbours are 2k and 2k + 1 in the order kernel height, kernel width, input channel. Operators
that keep channels apart (depthwise convolutions) are multiplied in another way.
"""

from typing import Any

import keras

from keras_bottleneck.processor import LARGEST_SUM


def codes_without_overflow(targets: Any, ops: Any = keras.ops) -> Any:
    """The integers nearest to `targets` of which no two neighbours overflow.

    Two that would give up equal parts, which costs the least squared error.

    Args:
        targets: Kernels in units of their step, each within -127 to 127: (inputs, outputs) with
            the inputs in the order of the multiplication.
        ops: What computes: `numpy` for its arrays.

    Returns:
        Whole numbers of the same shape and dtype.

    Source: ONNX Runtime, "Quantize ONNX models", on `reduce_range`, which takes a bit from every
        code instead.
    """
    inputs, outputs = targets.shape
    first, second = _neighbours(targets, ops)
    rounded = ops.round(first), ops.round(second)
    total = ops.clip(rounded[0] + rounded[1], -LARGEST_SUM, LARGEST_SUM)
    overflows = total != rounded[0] + rounded[1]
    shared = ops.round(first - (first + second - total) / 2)
    fitted = (
        ops.where(overflows, shared, rounded[0]),
        ops.where(overflows, total - shared, rounded[1]),
    )
    return ops.reshape(ops.stack(fitted, axis=1), (-1, outputs))[:inputs]


def largest_sum(rows: Any) -> Any:
    """The largest absolute sum of two neighbours, (outputs,); `rows` are (inputs, outputs)."""
    first, second = _neighbours(rows, keras.ops)
    return keras.ops.max(keras.ops.abs(first + second), axis=0)


def _neighbours(rows: Any, ops: Any) -> tuple[Any, Any]:
    """Rows 2k and rows 2k + 1; behind an odd number of rows stands one of zeros."""
    inputs, outputs = rows.shape
    padded = ops.pad(rows, ((0, inputs % 2), (0, 0)))
    pairs = ops.reshape(padded, (-1, 2, outputs))
    return pairs[:, 0], pairs[:, 1]
