"""`Histogram`: exact where it says so, the same however the values arrive, fine enough."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from keras_bottleneck.quantization.histogram import BINS, Histogram

MAGNITUDES = st.floats(2.0**-60, 2.0**60, width=32)
FLOATS = st.just(0.0) | MAGNITUDES | MAGNITUDES.map(lambda value: -value)
BATCHES = st.lists(
    arrays.arrays(np.float32, arrays.array_shapes(max_dims=4, max_side=5), elements=FLOATS),
    min_size=1,
    max_size=5,
)
BOUNDED = settings(max_examples=60, deadline=None, derandomize=True)


def histogram_of(*batches):
    histogram = Histogram()
    for batch in batches:
        histogram.update(np.float32(batch))
    return histogram


def assert_same(found, expected):
    for name in ("count", "minimum", "maximum", "width"):
        assert getattr(found, name) == getattr(expected, name), name
    np.testing.assert_array_equal(found.counts, expected.counts)
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-12)


def squared_error(values, counts, low, high):
    step = (high - low) / 255
    zero = round(-low / step)
    levels = np.clip(np.rint(values / step), -zero, 255 - zero)
    return np.average((levels * step - values) ** 2, weights=counts)


@BOUNDED
@given(BATCHES)
def test_ends_and_counts_are_exact(batches):
    histogram = histogram_of(*batches)
    everything = np.concatenate([batch.ravel() for batch in batches])
    assert histogram.minimum == everything.min()
    assert histogram.maximum == everything.max()
    assert histogram.count == histogram.counts.sum() == everything.size
    assert (histogram.counts > 0).all()


@BOUNDED
@given(BATCHES)
def test_the_points_are_close_to_the_values(batches):
    histogram = histogram_of(*batches)
    everything = np.sort(np.concatenate([batch.ravel() for batch in batches]).astype("float64"))
    points = np.repeat(histogram.values, histogram.counts)
    assert np.abs(points - everything).max() <= histogram.width
    assert (np.diff(histogram.values) > 0).all()
    assert histogram.minimum <= points[0] and points[-1] <= histogram.maximum
    assert points.sum() == pytest.approx(everything.sum(), rel=1e-6, abs=histogram.width)


@BOUNDED
@given(BATCHES)
def test_batches_do_not_matter(batches):
    everything = np.concatenate([batch.ravel() for batch in batches])
    assert_same(histogram_of(*batches), histogram_of(everything))
    assert_same(histogram_of(*batches[::-1]), histogram_of(everything))


@BOUNDED
@given(BATCHES, BATCHES)
def test_merging_is_one_histogram_of_both(left, right):
    one, other = histogram_of(*left), histogram_of(*right)
    assert_same(one.merge(other), histogram_of(*left, *right))
    # The parts stay as they were.
    assert_same(one, histogram_of(*left))
    assert_same(other, histogram_of(*right))


def test_merging_with_an_empty_one():
    filled = histogram_of([1, 2, 3])
    assert_same(filled.merge(Histogram()), filled)
    assert_same(Histogram().merge(filled), filled)
    assert Histogram().merge(Histogram()).count == 0


def test_the_range_grows_by_a_million(noise):
    small, large = noise(10_000), 1e6 * noise(10_000, seed=1)
    histogram = histogram_of(small, large)
    assert_same(histogram, histogram_of(np.concatenate([small, large])))
    spread = histogram.maximum - histogram.minimum
    assert BINS / 2 - 2 <= spread / histogram.width <= BINS
    # All of the small values are in the two bins next to zero.
    near = np.abs(histogram.values) < histogram.width
    assert histogram.counts[near].sum() >= small.size


@pytest.mark.parametrize("value", [0.0, -0.0, 5.0, -3e-7, 1e-38, 3e38, -3e38])
def test_equal_values(value):
    histogram = histogram_of(np.full((2, 3), value))
    assert histogram.values.tolist() == [np.float32(value)]
    assert histogram.counts.tolist() == [6]


def test_the_whole_float32_range():
    most = np.finfo(np.float32).max
    histogram = histogram_of([1e-45, 0, -1e-45], [most, -most])
    assert histogram.minimum == -most and histogram.maximum == most
    assert histogram.counts.tolist()[0] == histogram.counts.tolist()[-1] == 1


def test_zeros_are_not_smeared():
    histogram = histogram_of([0, 0, 0, 1e-3, -1e-3], [100])
    assert histogram.counts[histogram.values == 0].tolist() == [3]
    assert histogram.values[:3] == pytest.approx([-1e-3, 0, 1e-3])


def test_an_empty_batch_changes_nothing():
    histogram = histogram_of([1, 2])
    histogram.update(np.empty((0, 4), np.float32))
    assert_same(histogram, histogram_of([1, 2]))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(wrong):
    histogram = histogram_of([1, 2])
    with pytest.raises(ValueError, match="`values` must be finite"):
        histogram.update(np.float32([[0, wrong]]))
    assert_same(histogram, histogram_of([1, 2]))


NORMAL = np.random.default_rng(0).normal(size=300_000)
TENSORS = {
    "normal": NORMAL,
    "shifted": NORMAL + 1.5,
    "laplace": np.random.default_rng(0).laplace(size=300_000),
    "relu": np.maximum(NORMAL, 0),
    "relu6": np.clip(3 * NORMAL + 2, 0, 6),
    "outliers": np.append(NORMAL, [40, 90]),
    "pixels": np.random.default_rng(0).integers(0, 256, 300_000),
    "pixels around zero": np.random.default_rng(0).integers(0, 256, 300_000) / 127.5 - 1,
}


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize("part", [1, 0.8, 0.5, 0.25])
def test_the_error_of_a_quantizer_is_that_of_the_values(name, part):
    values = np.float32(TENSORS[name]).astype("float64")
    histogram = histogram_of(values)
    low, high = part * min(values.min(), 0), part * max(values.max(), 0)
    step = (high - low) / 255
    low, high = -round(-low / step) * step, (255 - round(-low / step)) * step
    expected = squared_error(values, np.ones_like(values), low, high)
    found = squared_error(histogram.values, histogram.counts, low, high)
    assert found == pytest.approx(expected, rel=0.01, abs=1e-12)
