"""Where TFLite's operators do not round to the nearest, and what brings the simulation to it.

Each rule is an amount that is added before the nearest is taken. They were measured on files of
one operator: with them, the integers of TFLite's built-in kernels are met.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

# A tie is moved by this part of a step: far above float noise, far below what matters.
TIE = 1e-3


def nudge(
    rule: str, x: Any, step: Any, zero: Any, input_step: Any, input_zero: Any, factor: float
) -> Any:
    """What is added to `x` before it is rounded.

    Args:
        rule: A row of `RULES`.
        x: What an operator has computed.
        step: The step of the grid that it is rounded to.
        zero: The int8 code of zero on that grid.
        input_step: The step of the operator's input.
        input_zero: The int8 code of zero of the operator's input.
        factor: How many values a mean is taken of, or the slope of a leaky ReLU.
    """
    return ops.stop_gradient(RULES[rule](x, step, zero, input_step, input_zero, factor))


def _away(x: Any, step: Any, zero: Any, input_step: Any, input_zero: Any, factor: float) -> Any:
    """Averages of codes: ties go away from code 0, which is not the code of zero."""
    return ops.sign(x / step + zero) * TIE * step


def _twice(x: Any, step: Any, zero: Any, input_step: Any, input_zero: Any, factor: float) -> Any:
    """A mean of N: multiplied and divided by N with a shift, each rounded away from zero."""
    shift = ops.floor(ops.log2(ops.cast(factor, "float32"))) - _exponent(input_step / step)
    return ops.sign(x) * step * 2.0 ** -(shift + 1.0)


def _kept(x: Any, step: Any, zero: Any, input_step: Any, input_zero: Any, factor: float) -> Any:
    """A mean of N that keeps dimensions: zero point and codes are rescaled apart, these upwards."""
    offset = input_zero * input_step / step
    whole = ops.sign(offset) * ops.floor(ops.abs(offset) + 0.5)
    shift = -_exponent(input_step / (factor * step))
    upwards = ops.where(shift > 0, 2.0 ** -(shift + 1.0), 0.0)
    return (offset - whole + upwards) * step


def _negative(x: Any, step: Any, zero: Any, input_step: Any, input_zero: Any, factor: float) -> Any:
    """A leaky ReLU: its negative side is rounded twice."""
    shift = ops.maximum(-_exponent(factor * input_step / step), 0.0)
    return ops.where(x < 0, -step * 2.0 ** -(shift + 1.0), 0.0)


def _rescaled(x: Any, step: Any, zero: Any, input_step: Any, input_zero: Any, factor: float) -> Any:
    """What is only rescaled: multiplied and rounded, then shifted and rounded away from zero."""
    shift = -_exponent(factor * input_step / step)
    return ops.where(shift > 0, ops.sign(x) * step * 2.0 ** -(shift + 1.0), 0.0)


def _exponent(ratio: Any) -> Any:
    """e, where `ratio` is m * 2^e with m in [0.5, 1)."""
    return ops.floor(ops.log2(ratio)) + 1.0


RULES: dict[str, Callable[[Any, Any, Any, Any, Any, float], Any]] = {
    "away": _away,
    "twice": _twice,
    "kept": _kept,
    "negative": _negative,
    "rescaled": _rescaled,
}


def rule_for(layer: Any, input_shape: Any) -> tuple[str, float] | None:
    """The rule for the output of `layer`, and its factor; None for the nearest, as of most."""
    if isinstance(layer, keras.layers.GlobalAveragePooling2D):
        height, width = input_shape[1:3]
        rule = "kept" if layer.keepdims else "twice"
        return (rule, float(height * width)) if height and width else None
    if isinstance(layer, keras.layers.LeakyReLU):
        return "negative", float(layer.negative_slope)
    if isinstance(layer, (keras.layers.AveragePooling2D, keras.layers.UpSampling2D)):
        return "away", 1.0
    # Bare operations have no public classes, only names.
    kind = type(layer).__name__
    if kind == "Mean":
        axes = range(len(input_shape)) if layer.axis is None else _each(layer.axis)
        sides = [input_shape[axis] for axis in axes]
        return ("twice", float(math.prod(sides))) if all(sides) else None
    if kind == "Absolute" or getattr(layer, "activation", None) is keras.activations.hard_tanh:
        return "rescaled", 1.0
    return None


def _each(axes: int | Sequence[int]) -> Sequence[int]:
    return [axes] if isinstance(axes, int) else axes
