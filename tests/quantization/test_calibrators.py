"""The ranges of the calibrators against brute force, numpy, TensorFlow and the literature."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from keras_bottleneck.quantization.calibrators import CALIBRATORS, calibrate, nudged
from keras_bottleneck.quantization.histogram import Histogram

BOUNDED = settings(max_examples=60, deadline=None, derandomize=True)
FLOATS = st.floats(-(2.0**60), 2.0**60, width=32)

RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=50_000)
TENSORS = {
    "normal": NORMAL,
    "shifted": NORMAL + 1.5,
    "far from zero": NORMAL + 8,
    "negative": -np.abs(NORMAL),
    "laplace": RNG.laplace(size=50_000),
    "relu": np.maximum(NORMAL, 0),
    "relu6": np.clip(3 * NORMAL + 2, 0, 6),
    "swish": 3 * NORMAL / (1 + np.exp(-3 * NORMAL)),
    "lognormal": np.exp(NORMAL),
    "student": RNG.standard_t(3, size=50_000),
    "outlier": np.append(NORMAL, 20),
    "pixels": RNG.integers(0, 256, 50_000),
    "pixels around zero": RNG.integers(0, 256, 50_000) / 127.5 - 1,
}


def histogram_of(values):
    histogram = Histogram()
    histogram.update(np.float32(values))
    return histogram


def squared_error(values, low, high, weights=None):
    """The mean over the values themselves, not over bins."""
    step = (high - low) / 255
    zero = round(-low / step)
    levels = np.clip(np.rint(values / step), -zero, 255 - zero)
    return np.average((levels * step - values) ** 2, weights=weights)


@BOUNDED
@given(
    arrays.arrays(np.float32, st.integers(1, 40), elements=FLOATS),
    st.sampled_from(sorted(CALIBRATORS)),
)
def test_zero_is_always_a_level(values, calibrator):
    low, high = calibrate(histogram_of(values), calibrator)
    assert isinstance(low, float) and isinstance(high, float)
    assert low <= 0 <= high and low < high
    zero = -low / ((high - low) / 255)
    assert zero == pytest.approx(round(zero), abs=1e-9)
    # Nudging a range again leaves it.
    assert nudged(low, high) == pytest.approx((low, high))


@BOUNDED
@given(
    arrays.arrays(np.float32, st.integers(1, 40), elements=FLOATS),
    st.sampled_from(sorted(CALIBRATORS)),
)
def test_no_range_is_longer_than_the_observed_one(values, calibrator):
    low, high = calibrate(histogram_of(values), calibrator)
    observed = float(max(values.max(), 0)) - float(min(values.min(), 0))
    if observed > 1e-30:  # what is smaller has no step
        assert high - low <= observed * (1 + 1e-12)
    elif not observed:
        assert (low, high) == (0.0, 1.0)


def test_minmax_is_the_observed_range_but_for_half_a_step(noise):
    values = noise(1000)
    low, high = calibrate(histogram_of(values), "minmax")
    assert high - low == pytest.approx(values.max() - values.min())
    assert abs(low - values.min()) <= (high - low) / 255 / 2 * (1 + 1e-6)


@pytest.mark.parametrize("calibrator", CALIBRATORS)
@pytest.mark.parametrize("value", [0.0, 1e-45])
def test_a_tensor_without_a_range(calibrator, value):
    assert calibrate(histogram_of(np.full(9, value)), calibrator) == (0.0, 1.0)


@pytest.mark.parametrize("calibrator", CALIBRATORS)
@pytest.mark.parametrize("value", [5.0, -5.0])
def test_a_constant_is_kept(calibrator, value):
    low, high = calibrate(histogram_of(np.full(9, value)), calibrator)
    assert (low, high) == pytest.approx((min(value, 0), max(value, 0)))


@pytest.mark.parametrize("calibrator", CALIBRATORS)
def test_a_tensor_that_is_nearly_always_zero(calibrator):
    values = np.append(np.zeros(100_000), [0.5, 1.0])
    low, high = calibrate(histogram_of(values), calibrator)
    assert low == 0 and high == pytest.approx(1)


@pytest.mark.parametrize("name", TENSORS)
def test_mse_is_at_least_as_good_as_the_others(name):
    values, histogram = TENSORS[name], histogram_of(TENSORS[name])
    errors = {one: squared_error(values, *calibrate(histogram, one)) for one in CALIBRATORS}
    # 0.5%: what the bins do not tell.
    assert errors["mse"] <= 1.005 * min(errors.values()) + 1e-12


@pytest.mark.parametrize("name", TENSORS)
def test_mse_is_as_good_as_brute_force(name):
    values = TENSORS[name]
    minimum, maximum = min(values.min(), 0), max(values.max(), 0)
    # Every tenth value, for speed, and all of the tails: these decide where to clip.
    order = np.sort(values)
    sample = np.concatenate([order[:500], order[500:-500:10], order[-500:]])
    weights = np.repeat([1, 10, 1], [500, len(sample) - 1000, 500])
    parts = np.linspace(0.1, 1, 37)
    lows, highs = np.unique(parts * minimum), np.unique(parts * maximum)
    best = min(squared_error(sample, low, high, weights) for low in lows for high in highs)
    found = squared_error(values, *calibrate(histogram_of(values), "mse"))
    assert found <= 1.02 * best + 1e-12


def test_mse_is_not_misled_by_the_bins():
    # Between steps of a round number of bins, where these understate the error.
    values = np.random.default_rng(0).normal(size=1_000_000) + 1.5
    histogram = histogram_of(values)
    low, high = calibrate(histogram, "mse")
    expected = squared_error(values, low, high)
    found = squared_error(histogram.values, low, high, histogram.counts)
    assert found == pytest.approx(expected, rel=0.003)


def test_mse_finds_the_gaussian_clip_of_the_literature():
    # Banner et al. 2019 (ACIQ), 8 bits: the a with a / (6 * 4**8) = pdf(a) - a * (1 - cdf(a)).
    normal = statistics.NormalDist()
    clipped = normal.pdf(3.92) - 3.92 * (1 - normal.cdf(3.92))
    assert clipped == pytest.approx(3.92 / (6 * 4**8), rel=0.03)
    quantiles = [normal.inv_cdf((index + 0.5) / 300_000) for index in range(300_000)]
    low, high = calibrate(histogram_of(quantiles), "mse")
    assert (high - low) / 2 == pytest.approx(3.92, rel=0.02)


def test_mse_finds_the_laplace_clip_of_the_literature():
    # Banner et al. 2019 (ACIQ), 8 bits: the a with a / (3 * 4**8) = exp(-a).
    assert math.exp(-9.89) == pytest.approx(9.89 / (3 * 4**8), rel=0.01)
    uniform = (np.arange(1_000_000) + 0.5) / 1_000_000
    half = -np.log(uniform)
    low, high = calibrate(histogram_of(np.concatenate([half, -half])), "mse")
    assert (high - low) / 2 == pytest.approx(9.89, rel=0.02)


@pytest.mark.parametrize("shift", [0, 1, -1])
def test_percentile_is_numpys(shift):
    values = np.random.default_rng(0).normal(size=1_000_003).astype("float32") + shift
    histogram = histogram_of(values)
    low, high = calibrate(histogram, "percentile")
    expected = np.percentile(values, [0.005, 99.995], method="inverted_cdf")
    assert high - low == pytest.approx(np.diff(expected)[0], abs=2 * histogram.width)
    assert low == pytest.approx(expected[0], abs=(high - low) / 255 / 2 + histogram.width)


def test_percentile_of_relu_cuts_only_the_top():
    values = np.maximum(np.random.default_rng(0).normal(size=1_000_003), 0).astype("float32")
    histogram = histogram_of(values)
    low, high = calibrate(histogram, "percentile")
    expected = np.percentile(values, 99.995, method="inverted_cdf")
    assert low == 0 and high == pytest.approx(expected, abs=histogram.width)


@pytest.mark.parametrize("outlier", [20, 60, 200])
def test_entropy_cuts_a_far_outlier(outlier):
    values = np.random.default_rng(0).normal(size=200_000)
    low, high = calibrate(histogram_of(np.append(values, outlier)), "entropy")
    assert 3 < high < 6 and -6 < low < -3
    # So does it for ReLU, at the only end there is.
    low, high = calibrate(histogram_of(np.append(np.maximum(values, 0), outlier)), "entropy")
    assert low == 0 and 3 < high < 6


def test_entropy_keeps_values_that_are_spread_evenly():
    low, high = calibrate(histogram_of(np.linspace(-1, 1, 100_001)), "entropy")
    assert high - low > 1.95


def test_entropy_does_not_clip_all_to_one_bin():
    # There P and Q agree, once both are normalized.
    low, high = calibrate(histogram_of(NORMAL + 8), "entropy")
    assert low == 0 and high > 10


@BOUNDED
@given(st.floats(0, 1e6), st.floats(1e-3, 1e6), st.sampled_from([4, 16, 256]))
def test_nudging_moves_a_range_by_at_most_half_a_step(below, above, levels):
    low, high = nudged(-below, above, levels)
    step = (above + below) / (levels - 1)
    assert high - low == pytest.approx(above + below)
    assert abs(low + below) <= step / 2 * (1 + 1e-9)


@pytest.mark.parametrize("ends", [(-1.0, 1.1), (-0.3, 2.0), (0.0, 6.0), (-5.0, 0.0), (-1, 0.003)])
def test_nudging_is_tensorflows(ends):
    tf = pytest.importorskip("tensorflow")
    values = np.linspace(-7, 7, 10_001).astype("float32")
    expected = tf.quantization.fake_quant_with_min_max_args(values, *ends).numpy()
    low, high = nudged(*ends)
    assert (expected.min(), expected.max()) == pytest.approx((low, high), rel=1e-6)
    # And TensorFlow leaves the nudged range as it is.
    again = tf.quantization.fake_quant_with_min_max_args(values, low, high).numpy()
    np.testing.assert_allclose(again, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "ends", [(0.1, 1.0), (-1.0, -0.1), (0.0, 0.0), (-1.0, math.inf), (math.nan, 1.0)]
)
def test_ranges_without_zero_or_length_are_refused(ends):
    with pytest.raises(ValueError, match="`low` and `high` must be the ends of a range"):
        nudged(*ends)


def test_one_level_is_refused():
    with pytest.raises(ValueError, match="`levels` must be an integer of at least 2"):
        nudged(-1.0, 1.0, levels=1)


def test_an_empty_histogram_is_refused():
    with pytest.raises(ValueError, match="`histogram` must hold at least one value"):
        calibrate(Histogram(), "minmax")


def test_an_unknown_calibrator_is_refused():
    with pytest.raises(ValueError, match="did you mean 'entropy'"):
        calibrate(histogram_of([1.0]), "entrpy")
