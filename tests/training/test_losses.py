import keras
import numpy as np
import pytest

from keras_bottleneck.training import Accuracy, SmoothedCrossentropy

RNG = np.random.default_rng(0)
LABELS = np.array([0, 3, 1, 3, 2, 0])
ROWS = np.eye(4, dtype="float32")[LABELS]
LOGITS = RNG.normal(size=(6, 4)).astype("float32")
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("labels", [LABELS, LABELS[:, None], ROWS], ids=["flat", "column", "rows"])
@pytest.mark.parametrize("logits", [False, True])
def test_loss_is_keras_categorical_crossentropy(smoothing, labels, logits):
    predictions = LOGITS if logits else PROBABILITIES
    peer = keras.losses.CategoricalCrossentropy(from_logits=logits, label_smoothing=smoothing)
    loss = SmoothedCrossentropy(smoothing, from_logits=logits)
    np.testing.assert_allclose(loss(labels, predictions), peer(ROWS, predictions), rtol=1e-6)


def test_loss_value_by_hand():
    loss = SmoothedCrossentropy(label_smoothing=0.2)
    expected = -(0.9 * np.log(0.7) + 0.1 * np.log(0.3))
    np.testing.assert_allclose(loss(np.array([1]), np.array([[0.3, 0.7]])), expected, rtol=1e-6)


def test_loss_of_mixed_labels():
    rows = (0.25 * ROWS + 0.75 * ROWS[::-1]).astype("float32")
    expected = -(rows * np.log(PROBABILITIES)).sum(axis=1).mean()
    np.testing.assert_allclose(SmoothedCrossentropy()(rows, PROBABILITIES), expected, rtol=1e-5)


def test_loss_survives_serialization():
    loss = SmoothedCrossentropy(0.3, from_logits=True)
    twin = keras.losses.deserialize(keras.losses.serialize(loss))
    assert twin.get_config() == loss.get_config()
    np.testing.assert_allclose(twin(LABELS, LOGITS), loss(LABELS, LOGITS))


@pytest.mark.parametrize("smoothing", [1.0, -0.1, True, "0.1", float("nan")])
def test_wrong_smoothing_is_refused(smoothing):
    with pytest.raises(ValueError, match="^`label_smoothing` must be .*Received"):
        SmoothedCrossentropy(smoothing)


def test_accuracy_takes_both_label_kinds_in_turn():
    predictions = np.eye(4, dtype="float32")[[0, 3, 1, 1, 1, 1]]
    accuracy = Accuracy()
    for labels in (ROWS, LABELS, LABELS[:, None]):
        accuracy.reset_state()
        accuracy.update_state(labels, predictions)
        assert float(accuracy.result()) == pytest.approx(3 / 6)
    accuracy.update_state(ROWS[:3], predictions[:3])
    assert float(accuracy.result()) == pytest.approx(6 / 9)


def test_accuracy_survives_serialization():
    twin = keras.metrics.deserialize(keras.metrics.serialize(Accuracy(name="hits")))
    twin.update_state(LABELS, ROWS)
    assert (twin.name, float(twin.result())) == ("hits", 1.0)
