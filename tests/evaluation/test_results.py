"""Confusions and mistakes are those of the model."""

import keras
import numpy as np
import pytest

import keras_bottleneck as kb
from keras_bottleneck.evaluation import Answers, Evaluation
from keras_bottleneck.evaluation.metrics import measured
from keras_bottleneck.evaluation.results import shown
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.trained_model import keras_outputs

CLASSES = ("ant", "bee", "cat", "dog")


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return kb.ResNet(
        "basic", (1,), filters=(8,), stem="cifar", input_shape=(8, 8, 3), classes=4, name="page"
    )


@pytest.fixture(scope="module")
def images():
    """60 images as `Preprocessing(8)` makes them, with labels of four classes."""
    rng = np.random.default_rng(0)
    return rng.uniform(size=(60, 8, 8, 3)).astype(np.float32), np.arange(60) % 4


@pytest.fixture(scope="module")
def seen(network, images):
    answers = Answers(keras_outputs(network, images[0]), "probabilities")
    return Evaluation(answers, images[1], labels=CLASSES)


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
    mistakes = seen.mistakes(images[0], Preprocessing(8), 5)
    assert [one.true_probability for one in mistakes] == pytest.approx(np.sort(own)[:5], abs=1e-6)
    worst = wrong[own.argmin()]
    first = mistakes[0]
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


@pytest.mark.parametrize("shape", [(40,), (3, 5, 4)])
def test_figures_are_those_of_sorted_probabilities(shape):
    rng = np.random.default_rng(0)
    # Few levels, as int8 outputs have: many classes are equally probable.
    outputs = rng.integers(0, 6, (*shape, 12)).astype(np.float32)
    truth = rng.integers(0, 12, shape)
    answers = Answers(outputs, "logits")
    figures = measured(Evaluation(answers, truth, Answers(outputs[::-1], "logits")))
    ranked = np.argsort(-answers.probabilities, -1, kind="stable")
    hits = ranked == truth[..., None]
    assert figures["top1"] == hits[..., 0].mean()
    assert figures["top5"] == hits[..., :5].any(-1).mean()
    own = np.take_along_axis(answers.probabilities, truth[..., None], -1)
    assert figures["loss"] == pytest.approx(-np.log(own).mean())
    assert figures["error"] == abs(outputs - outputs[::-1]).max() / outputs.max()
    assert figures["agreement"] == (ranked[..., 0] == ranked[::-1, ..., 0]).mean()


def test_features_have_no_figures_of_classes():
    outputs = np.ones((4, 3), np.float32)
    seen = Evaluation(Answers(outputs, "features"), np.zeros(4, int), Answers(outputs, "features"))
    figures = {name: value for name, value in measured(seen).items() if value is not None}
    assert figures == {"error": 0.0}
    assert not seen.of_whole_images


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
    pixels_shown = shown(preprocessing.normalize(pixels.astype(np.float32)), preprocessing)
    np.testing.assert_array_equal(pixels_shown, pixels)
