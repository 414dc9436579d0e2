"""Confusions and mistakes are those of the model."""

import numpy as np
import pytest

from keras_bottleneck.benchmarking import inputs, subject
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.reporting.evaluation import _shown, evaluated

from .conftest import CLASSES


@pytest.fixture
def seen(run, images):
    tested = subject.opened(run, run)
    found = inputs.collect(images, None, tested, 1000, 0, calibrates=False)
    return evaluated(tested, found, worst=5)


def test_confusions_are_counted(seen, network, images):
    predicted = network.predict(images[0], verbose=0).argmax(-1)
    for row in range(4):
        for column in range(4):
            wanted = np.sum((images[1] == row) & (predicted == column))
            assert seen.confusion[row, column] == wanted
    assert seen.accuracy == np.mean(predicted == images[1])
    assert seen.images == 60


def test_the_worst_are_those_whose_class_is_least_probable(seen, network, images):
    probabilities = network.predict(images[0], verbose=0)
    wrong = np.flatnonzero(probabilities.argmax(-1) != images[1])
    own = probabilities[wrong, images[1][wrong]]
    assert [one.true_probability for one in seen.mistakes] == pytest.approx(
        np.sort(own)[:5], abs=1e-6
    )
    worst = wrong[own.argmin()]
    first = seen.mistakes[0]
    assert first.label == CLASSES[images[1][worst]]
    assert first.predicted == CLASSES[probabilities[worst].argmax()]
    assert first.probability == pytest.approx(probabilities[worst].max(), abs=1e-6)
    np.testing.assert_array_equal(first.pixels, np.rint(images[0][worst] * 255))


def test_pairs_are_the_most_frequent_mistakes(seen):
    pairs = seen.confused(3)
    assert pairs == sorted(pairs, key=lambda pair: -pair[2])
    largest = (seen.confusion * (1 - np.eye(4, dtype=int))).max()
    assert pairs[0][2] == largest
    assert all(label != predicted for label, predicted, _ in pairs)


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(4),
        Preprocessing(4, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4)),
        Preprocessing(4, scale=1.0, mean=(100.0, 110.0, 120.0), color_order="bgr"),
    ],
)
def test_images_are_shown_as_they_were_before_preprocessing(preprocessing):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    shown = _shown(preprocessing.normalize(pixels.astype(np.float32)), preprocessing)
    np.testing.assert_array_equal(shown, pixels)
