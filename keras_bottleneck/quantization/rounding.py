"""Kernels rounded for what they are to compute, not each weight for itself."""

from typing import Any

import numpy as np

from keras_bottleneck.quantization.fake_quant import KERNEL_CODES
from keras_bottleneck.quantization.pairs import LARGEST_SUM, codes_without_overflow

Array = np.ndarray[Any, Any]

# Parts of the inputs' mean power that hold a solution near the trained kernel: the images are
# few, and directions that they hardly show must not be fitted to them.
FITTING = 3.0
ROUNDING = 0.3
# Columns whose errors are carried to all later ones together.
BLOCK = 64
FREE = (-KERNEL_CODES, KERNEL_CODES)
# Reaches that are tried, as parts of the one that clips nothing. Twice that one leaves room for
# the sum of any two codes.
CLIPPING = np.linspace(1.0, 0.7, 13)
WIDENING = np.linspace(1.0, 2.0, 21)


def fit(moment: Array, cross: Array, kernel: Array) -> Array:
    """The kernel that makes, of the inputs seen, what was to be made of them.

    Minimizes `|x w - y|^2` over the samples, held near `kernel` where they say little: the
    inputs `x` carry the rounding of earlier layers, the outputs `y` do not.

    Args:
        moment: Mean of x x^T without its mean, (inputs, inputs).
        cross: Mean of x y^T without their means, (inputs, outputs).
        kernel: (inputs, outputs).
    """
    ridge = _ridge(moment, FITTING)
    return np.linalg.solve(moment + ridge, cross + ridge @ kernel)


def best_reach(
    power: Array, kernel: Array, parts: Array, in_pairs: bool = False, shared: bool = False
) -> Array:
    """The largest value of each output's int8 kernel that rounds it best, (outputs,) or ().

    Args:
        power: The mean square of each input: (inputs, 1), or (inputs, outputs).
        kernel: (inputs, outputs).
        parts: Reaches to try, as parts of the one that clips nothing.
        in_pairs: Whether no two neighbouring codes may overflow.
        shared: Whether all outputs have one reach.
    """
    axis = None if shared else 0
    full = np.maximum(np.abs(kernel).max(axis), 1e-12)
    # Single precision takes a third of the time, and tells the errors of two reaches apart.
    kernel, power = kernel.astype(np.float32), power.astype(np.float32)
    errors = []
    for part in parts:
        step = np.float32(part * full / KERNEL_CODES)
        targets = np.clip(kernel / step, -KERNEL_CODES, KERNEL_CODES)
        codes = codes_without_overflow(targets, np) if in_pairs else np.rint(targets)
        errors.append((power * (codes * step - kernel) ** 2).sum(axis))
    return full * parts[np.argmin(errors, axis=0)]


def adaptive_rounding(moment: Array, kernel: Array, reach: Array, in_pairs: bool = False) -> Array:
    """`kernel` on the grid of `reach / 127`, each rounding error made up for by later weights.

    Args:
        moment: Mean of x x^T without its mean, (inputs, inputs).
        kernel: (inputs, outputs).
        reach: (outputs,) or scalar.
        in_pairs: Whether no two neighbouring codes may overflow.

    Source: Frantar et al. 2022, "GPTQ", section 3, with columns in order of falling power.
    """
    order = np.argsort(-np.diag(moment), kind="stable")
    place = np.argsort(order)
    partners = place[np.minimum(np.arange(len(order)) ^ 1, len(order) - 1)][order]
    damped = (moment + _ridge(moment, ROUNDING))[np.ix_(order, order)]
    factor = np.linalg.cholesky(np.linalg.inv(damped)).T
    left = kernel[order].astype(np.float64)
    step = reach / KERNEL_CODES
    rounded = np.empty_like(left)
    count = len(left)
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        errors = np.empty_like(left[start:stop])
        for row in range(start, stop):
            low, high = _room(row, partners[row], rounded, left, step) if in_pairs else FREE
            rounded[row] = np.clip(np.rint(left[row] / step), low, high) * step
            errors[row - start] = (left[row] - rounded[row]) / factor[row, row]
            left[row + 1 : stop] -= np.outer(factor[row, row + 1 : stop], errors[row - start])
        left[stop:] -= factor[start:stop, stop:].T @ errors
    result = np.empty_like(rounded)
    result[order] = rounded
    return result


def _room(row: int, partner: int, rounded: Array, left: Array, step: Any) -> tuple[Any, Any]:
    """The lowest and the highest code of a row beside that of its partner."""
    if partner == row:
        return FREE
    if partner < row:
        beside = np.rint(rounded[partner] / step)
        shared = 0.0
    else:
        # The partner's turn is still to come: what both have too much is shared.
        beside = np.clip(left[partner] / step, -KERNEL_CODES, KERNEL_CODES)
        total = np.clip(left[row] / step, -KERNEL_CODES, KERNEL_CODES) + beside
        shared = (total - np.clip(total, -LARGEST_SUM, LARGEST_SUM)) / 2
    low, high = -LARGEST_SUM - beside + shared, LARGEST_SUM - beside + shared
    return np.ceil(np.maximum(low, FREE[0])), np.floor(np.minimum(high, FREE[1]))


def _ridge(moment: Array, part: float) -> Array:
    power = np.trace(moment) / len(moment)
    return np.eye(len(moment)) * (part * power + 1e-12)
