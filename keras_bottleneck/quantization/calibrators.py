"""From the values of an activation tensor to the range that 256 levels are spread over."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_bottleneck import checks
from keras_bottleneck.quantization.histogram import Histogram

Array = np.ndarray[Any, Any]

LEVELS = 256

# The part of the values that the "percentile" range holds.
COVERAGE = 0.9999

# The searches clip to no less than this part of the observed range: there, steps are as
# narrow as bins.
NARROWEST = 1 / 64

# Steps below the smallest normal float32 number would be rounded to nothing.
SMALLEST_STEP = float(np.finfo(np.float32).tiny)


def calibrate(histogram: Histogram, calibrator: str) -> tuple[float, float]:
    """The range of an asymmetric per-tensor quantizer with 256 levels.

    Args:
        histogram: The values of the tensor.
        calibrator: One of `CALIBRATORS`. "minmax": all values. "percentile": 99.99% of them, as
            many cut at either end. "mse": the least squared error of quantizing and clipping.
            "entropy": the least Kullback-Leibler divergence.

    Returns:
        (low, high) with low <= 0 <= high, nudged: zero is one of the levels. (0.0, 1.0) where
        no value differs from zero: any range will do, and this one has a step that no runtime
        takes for a mistake.

    Raises:
        ValueError: If `histogram` is empty or `calibrator` is unknown.

    Source: Jacob et al. 2018, section 3; Nagel et al. 2021, section 3.1 (MSE); Migacz 2017
    (entropy).

    Example:
        >>> histogram = Histogram()
        >>> histogram.update(np.float32([0, 0.5, 2.55]))
        >>> low, high = calibrate(histogram, "minmax")
        >>> low, round(high, 4)
        (0.0, 2.55)
    """
    checks.one_of("calibrator", calibrator, CALIBRATORS)
    if not histogram.count:
        raise ValueError("`histogram` must hold at least one value. Received: an empty histogram")
    observed = _minmax(histogram)
    if _is_flat(observed):
        return 0.0, 1.0
    chosen = CALIBRATORS[calibrator](histogram)
    # The percentiles of a tensor that is nearly always zero are zero.
    return nudged(*(observed if _is_flat(chosen) else chosen))


def nudged(low: float, high: float, levels: int = LEVELS) -> tuple[float, float]:
    """The range shifted by at most half a step, so that zero is exactly one of the levels.

    The same shift as in TensorFlow's `FakeQuantWithMinMaxVars`, which computes it in float32: a
    zero point halfway between two integers, as that of (-1, 1), may be rounded down there. Ranges
    that are nudged already, both leave as they are.

    Args:
        low: At most 0.
        high: At least 0, and above `low`.
        levels: How many values the quantizer can take.

    Returns:
        (low, high) of the same length, whose step is (high - low) / (levels - 1).

    Raises:
        ValueError: If the range does not hold zero, or has no length.

    Source: Jacob et al. 2018, section 3.2.

    Example:
        >>> nudged(-0.75, 2.25, levels=4)
        (-1.0, 2.0)
    """
    checks.integer("levels", levels, minimum=2)
    if not (low <= 0 <= high and 0 < high - low < math.inf):
        raise ValueError(
            "`low` and `high` must be the ends of a range that holds zero. "
            f"Received: low={low!r}, high={high!r}"
        )
    step, zero = _grid(low, high, levels)
    return float(0 - zero * step), float((levels - 1 - zero) * step)


def _grid(low: Any, high: Any, levels: int = LEVELS) -> tuple[Any, Any]:
    """The step and the zero point of ranges, each a number or an array."""
    step = (high - low) / (levels - 1)
    # Halves go up, as in TensorFlow; `rint` would send them to the even one.
    return step, np.clip(np.floor(-low / step + 0.5), 0, levels - 1)


def _is_flat(ends: tuple[float, float]) -> bool:
    return (ends[1] - ends[0]) / (LEVELS - 1) < SMALLEST_STEP


def _minmax(histogram: Histogram) -> tuple[float, float]:
    return min(histogram.minimum, 0.0), max(histogram.maximum, 0.0)


def _percentile(histogram: Histogram) -> tuple[float, float]:
    values, ranks = histogram.values, np.cumsum(histogram.counts)
    tail = (1 - COVERAGE) / 2
    low, high = values[np.searchsorted(ranks, [tail * ranks[-1], (1 - tail) * ranks[-1]])]
    return min(float(low), 0.0), max(float(high), 0.0)


def _mse(histogram: Histogram) -> tuple[float, float]:
    """The best of a grid of clipped ranges, then of ever finer grids around the best so far.

    Both ends move at once, as either one changes the step for all values. The grids are
    geometric: with outliers the error has one valley without and another one with them.
    """
    values, counts = histogram.values, histogram.counts
    minimum, maximum = _minmax(histogram)
    reach = NARROWEST**-0.5
    low, high = minimum / reach, maximum / reach
    for points in (17, 7, 7, 7, 7):
        factors = reach ** np.linspace(-1, 1, points)
        # An end at zero stays there.
        lows = np.unique(np.maximum(low * factors, minimum))
        highs = np.unique(np.minimum(high * factors, maximum))
        ranges = np.stack(np.meshgrid(lows, highs), axis=-1).reshape(-1, 2)
        low, high = ranges[np.argmin(_squared_errors(values, counts, ranges))]
        reach **= 2 / (points - 1)
    return float(low), float(high)


def _squared_errors(values: Array, counts: Array, ranges: Array) -> Array:
    """The squared error of quantizing and dequantizing, summed, for each of the ranges (N, 2).

    For the values that go to one level, only their number, sum and sum of squares matter. These
    are differences of cumulative sums: cheaper than to round every value for every range.
    """
    step, zero = _grid(ranges[:, :1], ranges[:, 1:])
    levels = (np.arange(LEVELS) - zero) * step
    halfway = (np.arange(LEVELS + 1) - zero - 0.5) * step
    # What is clipped goes to the outermost levels.
    halfway[:, 0], halfway[:, -1] = -np.inf, np.inf
    powers = counts * values ** np.arange(3)[:, np.newaxis]
    cumulative = np.pad(np.cumsum(powers, axis=1), ((0, 0), (1, 0)))
    number, total, squares = np.diff(cumulative[:, np.searchsorted(values, halfway)])
    return (levels**2 * number - 2 * levels * total + squares).sum(axis=-1)


def _entropy(histogram: Histogram) -> tuple[float, float]:
    """The threshold, clipped to the observed range, that keeps most of the distribution.

    Zeros are left out: they are a level of their own in every range, and the spike that ReLU
    makes of them would outweigh the rest.
    """
    values, counts = histogram.values, histogram.counts
    values, counts = values[values != 0], counts[values != 0]
    minimum, maximum = _minmax(histogram)

    def divergence(threshold: float) -> float:
        return _divergence(values, counts, max(-threshold, minimum), min(threshold, maximum))

    thresholds = max(-minimum, maximum) * np.geomspace(NARROWEST, 1, 128)
    best = min(thresholds.tolist(), key=divergence)
    return max(-best, minimum), min(best, maximum)


def _divergence(values: Array, counts: Array, low: float, high: float) -> float:
    """KL(P || Q) of the values clipped to a range (P) and of what its levels tell of them (Q).

    P has the outliers in its outermost bins, Q does not: what is clipped counts as lost. The
    outermost bins that are not empty, and the mass of a level goes to such bins alone: so Q is
    nowhere zero where P is not, and nothing has to be smoothed.
    """
    start, stop = np.searchsorted(values, low), np.searchsorted(values, high, side="right")
    if start == stop:
        return np.inf
    step, zero = _grid(low, high)
    levels = np.clip(np.rint(values[start:stop] / step) + zero, 0, LEVELS - 1).astype(np.int64)
    inside = counts[start:stop].astype(np.float64)
    q = (np.bincount(levels, inside) / np.maximum(np.bincount(levels), 1))[levels]
    p = inside
    p[0] += counts[:start].sum()
    p[-1] += counts[stop:].sum()
    return float(p @ np.log(p / q) / counts.sum())


# Each takes a histogram that is not empty to a range around zero, yet to be nudged.
CALIBRATORS: dict[str, Callable[[Histogram], tuple[float, float]]] = {
    "minmax": _minmax,
    "percentile": _percentile,
    "mse": _mse,
    "entropy": _entropy,
}
