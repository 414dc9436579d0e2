"""The values of one activation tensor over many batches, in one pass and constant memory."""

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

# Fine enough that the error of a quantizer, computed from the bins, is within 1% of the error
# computed from the values. With 4096, a search for the least error finds steps of exactly 8 bins,
# where the bins understate it.
BINS = 1 << 14

# Values that are binned at once: few enough for their bin indices to stay in the cache.
PIECE = 1 << 16

# Bins are not finer than this part of the largest value, so that their numbers fit in 32 bits,
# nor than a width whose inverse is still a float32 number.
FINEST = 2.0**-30
SMALLEST_WIDTH = 2.0**-126


class Histogram:
    """A streaming histogram of `BINS` bins whose range grows with the values.

    Bin k holds the values in [k, k + 1) * width, where the width is the smallest power of two
    for which all values lie in `BINS` bins. Growing thus merges whole bins, and the result does
    not depend on how the values were cut into batches.

    The mean of a bin stands for its values: pixels and ReLU6 repeat few values, and those are
    rarely at the centre of a bin. Exact zeros, half of what ReLU makes, are counted apart.

    Attributes:
        count: How many values were seen.
        minimum: The smallest of them, exactly; infinity where there are none.
        maximum: The largest of them, exactly; minus infinity where there are none.
        width: The width of a bin.

    Example:
        >>> histogram = Histogram()
        >>> histogram.update(np.float32([[0, 0, 1], [2, 2, 6]]))
        >>> histogram.values.tolist(), histogram.counts.tolist()
        ([0.0, 1.0, 2.0, 6.0], [2, 1, 2, 1])
    """

    def __init__(self) -> None:
        self.count = 0
        self.minimum = math.inf
        self.maximum = -math.inf
        self.width = SMALLEST_WIDTH
        self._zeros = 0
        self._first = 0
        self._counts: Array = np.zeros(BINS, np.int64)
        self._sums: Array = np.zeros(BINS)

    @property
    def values(self) -> Array:
        """The mean of each non-empty bin and zero where it occurs, ascending; float64 (N,)."""
        return self._points()[0]

    @property
    def counts(self) -> Array:
        """How often each of `values` occurs; int64 (N,)."""
        return self._points()[1]

    def update(self, values: Array, every: int = 1) -> None:
        """Count a batch of values.

        Args:
            values: Numbers of any shape; they are counted as float32.
            every: Count only each `every`th value; the minimum and the maximum are those of all.

        Raises:
            ValueError: If `values` holds NaN or infinity.
        """
        flat = np.asarray(values, np.float32).reshape(-1)
        if not flat.size:
            return
        minimum, maximum = float(flat.min()), float(flat.max())
        if not math.isfinite(minimum) or not math.isfinite(maximum):
            raise ValueError("`values` must be finite. Received: an array with NaN or infinity")
        self._cover(minimum, maximum)
        flat = flat[::every]
        # Exact, as the width is a power of two; only below 1e-38 widths, a value becomes 0.
        scale = np.float32(1 / self.width)
        for start in range(0, flat.size, PIECE):
            piece = flat[start : start + PIECE]
            bins = np.floor(piece * scale).astype(np.int64) - self._first
            self._counts += np.bincount(bins, minlength=BINS)
            self._sums += np.bincount(bins, piece, minlength=BINS)
        zeros = flat.size - int(np.count_nonzero(flat))
        if zeros:
            self._counts[-self._first] -= zeros
        self._zeros += zeros
        self.count += flat.size

    def merge(self, other: "Histogram") -> "Histogram":
        """A new histogram of the values of both, as for tensors that share a range.

        Example:
            >>> left, right = Histogram(), Histogram()
            >>> left.update(np.float32([1, 2]))
            >>> right.update(np.float32([2, 300]))
            >>> left.merge(right).counts.tolist()
            [1, 2, 1]
        """
        both = Histogram()
        for part in (self, other):
            if part.count:
                both._cover(part.minimum, part.maximum)
        for part in (self, other):
            counts, sums = part._rebinned(both._first, both.width)
            both._counts += counts
            both._sums += sums
            both._zeros += part._zeros
            both.count += part.count
        return both

    def _cover(self, minimum: float, maximum: float) -> None:
        """Widen the range, and the bins where need be, to hold `minimum` and `maximum`."""
        self.minimum = min(self.minimum, minimum)
        self.maximum = max(self.maximum, maximum)
        largest = max(-self.minimum, self.maximum)
        least = max((self.maximum - self.minimum) / BINS, largest * FINEST, SMALLEST_WIDTH)
        # The power of two below: from there, the first that is wide enough.
        width = 2.0 ** (math.frexp(least)[1] - 1)
        while math.floor(self.maximum / width) - math.floor(self.minimum / width) >= BINS:
            width *= 2
        first = math.floor(self.minimum / width)
        if (first, width) != (self._first, self.width):
            self._counts, self._sums = self._rebinned(first, width)
            self._first, self.width = first, width

    def _rebinned(self, first: int, width: float) -> tuple[Array, Array]:
        """The counts and sums in bins of at least the same `width` that start at bin `first`."""
        kept = np.flatnonzero(self._counts)
        doublings = math.frexp(width / self.width)[1] - 1
        # Shifting rounds down, as binning does; by 62 it leaves 0 or -1, and by 64 nonsense.
        bins = ((kept + self._first) >> min(doublings, 62)) - first
        counts, sums = np.zeros_like(self._counts), np.zeros_like(self._sums)
        np.add.at(counts, bins, self._counts[kept])
        np.add.at(sums, bins, self._sums[kept])
        return counts, sums

    def _points(self) -> tuple[Array, Array]:
        # Zeros come before the positive values of the bin that starts at zero.
        zero = min(max(-self._first, 0), BINS)
        counts = np.insert(self._counts, zero, self._zeros)
        sums = np.insert(self._sums, zero, 0.0)
        kept = np.flatnonzero(counts)
        # A sum is rounded, the ends are not.
        values = np.clip(sums[kept] / counts[kept], self.minimum, self.maximum)
        return values, counts[kept]
