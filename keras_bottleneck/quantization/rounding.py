"""Kernels rounded for what they are to compute, not each weight for itself."""

from typing import Any

import numpy as np

from keras_bottleneck.quantization.fake_quant import KERNEL_CODES

Array = np.ndarray[Any, Any]

# Parts of the inputs' mean power that hold a solution near the trained kernel: the images are
# few, and directions that they hardly show must not be fitted to them.
FITTING = 3.0
ROUNDING = 0.3
# Columns whose errors are carried to all later ones together.
BLOCK = 64
# Reaches that are tried, as parts of the one that clips nothing.
REACHES = np.linspace(1.0, 0.7, 13)


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


def best_reach(moment: Array, kernel: Array) -> Array:
    """The largest value of each output's int8 kernel that rounds it best, (outputs,).

    Args:
        moment: (inputs, inputs); only its diagonal, the power of each input, is used.
        kernel: (inputs, outputs).
    """
    full = np.maximum(np.abs(kernel).max(0), 1e-12)
    power = np.diag(moment)[:, None]
    errors = []
    for part in REACHES:
        step = part * full / KERNEL_CODES
        rounded = np.clip(np.rint(kernel / step), -KERNEL_CODES, KERNEL_CODES) * step
        errors.append((power * (rounded - kernel) ** 2).sum(0))
    return full * REACHES[np.argmin(errors, axis=0)]


def adaptive_rounding(moment: Array, kernel: Array, reach: Array) -> Array:
    """`kernel` on the grid of `reach / 127`, each rounding error made up for by later weights.

    Args:
        moment: Mean of x x^T without its mean, (inputs, inputs).
        kernel: (inputs, outputs).
        reach: (outputs,) or scalar.

    Source: Frantar et al. 2022, "GPTQ", section 3, with columns in order of falling power.
    """
    order = np.argsort(-np.diag(moment), kind="stable")
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
            rounded[row] = np.clip(np.rint(left[row] / step), -KERNEL_CODES, KERNEL_CODES) * step
            errors[row - start] = (left[row] - rounded[row]) / factor[row, row]
            left[row + 1 : stop] -= np.outer(factor[row, row + 1 : stop], errors[row - start])
        left[stop:] -= factor[start:stop, stop:].T @ errors
    result = np.empty_like(rounded)
    result[order] = rounded
    return result


def _ridge(moment: Array, part: float) -> Array:
    power = np.trace(moment) / len(moment)
    return np.eye(len(moment)) * (part * power + 1e-12)
