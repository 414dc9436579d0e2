"""One output, several labels, numbers: what each task is trained with."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_bottleneck.tasks import task_of
from keras_bottleneck.training import Accuracy, FineTune, Recipe, finetune
from keras_bottleneck.training.class_weights import named, weights_for
from keras_bottleneck.training.losses import SmoothedBinaryCrossentropy, SmoothedCrossentropy

RNG = np.random.default_rng(0)
COUNT = 64
BRIGHTNESS = (np.arange(COUNT) % 4).astype("float32")
IMAGES = (RNG.normal(size=(COUNT, 6, 6, 1)) * 0.1 + BRIGHTNESS[:, None, None, None]).astype(
    "float32"
)
BRIGHT = (BRIGHTNESS >= 2).astype("int32")
SEVERAL = np.stack([BRIGHT, BRIGHTNESS >= 1, BRIGHTNESS == 0], 1).astype("float32")
NUMBERS = np.stack([2 * BRIGHTNESS + 1, -BRIGHTNESS], 1)


def network(width, activation):
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(6, 3, activation="relu", name="conv"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(width, activation=activation, name="predictions"),
        ]
    )


def trained(model, labels, **settings):
    recipe = Recipe(epochs=20, batch_size=8, learning_rate=0.03, weight_decay=0.0, **settings)
    return recipe.fit(model, (IMAGES, labels), (IMAGES, labels), callbacks=[]).history


@pytest.mark.parametrize(
    ("width", "activation", "labels", "metric"),
    [
        (1, "sigmoid", BRIGHT, "accuracy"),
        (1, None, BRIGHT[:, None], "accuracy"),
        (3, "sigmoid", SEVERAL, "accuracy"),
        (3, None, SEVERAL, "accuracy"),
        (1, None, NUMBERS[:, 0], "mae"),
        (2, None, NUMBERS, "mae"),
        (1, "relu", NUMBERS[:, :1], "mae"),
    ],
)
def test_each_task_is_learnt(width, activation, labels, metric):
    history = trained(network(width, activation), labels, label_smoothing=0.0)
    assert set(history) == {"loss", metric, "val_loss", f"val_{metric}"}
    best = min(history["val_loss"])
    assert best < 0.5 * history["loss"][0]
    if metric == "accuracy":
        assert max(history["val_accuracy"]) > 0.9


@pytest.mark.parametrize(
    ("activation", "width", "labels", "task"),
    [
        ("softmax", 3, None, "classification"),
        ("sigmoid", 1, None, "classification"),
        ("sigmoid", 3, None, "multi-label"),
        ("sigmoid", 3, np.array([0, 2]), "classification"),
        ("linear", 3, None, "classification"),
        ("linear", 3, np.eye(3), "classification"),
        ("linear", 3, np.array([[0.0, 1, 1], [0, 0, 0]]), "multi-label"),
        ("linear", 3, np.array([[0.5, 1, 1]]), "regression"),
        ("linear", 1, None, "regression"),
        ("linear", 1, np.array([0, 1]), "classification"),
        ("linear", 1, np.array([0.0, 1.0]), "regression"),
        ("linear", 1, np.array([0, 70]), "regression"),
        ("relu", 1, np.array([0, 1]), "regression"),
    ],
)
def test_head_and_labels_tell_the_task(activation, width, labels, task):
    assert task_of(activation, width, labels) == task


def test_the_task_can_be_said():
    model = network(1, None)
    Recipe().compile(model, 4)
    assert model.loss.name == "mean_squared_error"
    Recipe(task="classification").compile(model, 4)
    assert model.loss.from_logits and model.loss.name == "smoothed_binary_crossentropy"
    Recipe(regression_loss="huber").compile(model, 4)
    assert model.loss.name == "huber_loss"
    ages = RNG.integers(0, 2, COUNT)
    assert "mae" in Recipe(epochs=1, task="regression").fit(model, (IMAGES, ages)).history


@pytest.mark.parametrize(
    ("width", "activation", "labels", "settings", "message"),
    [
        (
            1,
            "sigmoid",
            BRIGHT + 1,
            {},
            "`train` must have labels from 0 to 1, because .* 2 classes",
        ),
        (1, "sigmoid", SEVERAL, {}, "`train` must have labels from 0 to 1, .*rows of 3 values"),
        (1, "softmax", BRIGHT, {}, "`model` must end in a sigmoid or a layer without activation"),
        (3, "sigmoid", BRIGHT, {}, "`model` must end in a softmax or a layer without activation"),
        (3, "sigmoid", SEVERAL * 2, {}, "`train` must have rows of 3 labels, each 0 or 1.* as 2"),
        (3, "sigmoid", SEVERAL[:, :2], {}, "`train` must have rows of 3 labels.*rows of 2 values"),
        (2, None, SEVERAL + 0.5, {}, "`train` must have rows of 2 numbers.*rows of 3 values"),
        (
            2,
            "tanh",
            BRIGHT,
            {},
            "`model` must end in a softmax or a layer without activation for c",
        ),
        (1, None, NUMBERS[:, 0] + np.nan, {}, "`train` must have numbers.* NaN or infinity"),
        (
            1,
            None,
            NUMBERS[:, 0],
            {"monitor": "val_accuracy"},
            "`monitor` must be 'val_loss' for a r",
        ),
        (
            1,
            None,
            NUMBERS[:, 0],
            {"class_weights": "balanced"},
            "`class_weights` must be None for r",
        ),
        (
            3,
            "sigmoid",
            SEVERAL,
            {"class_weights": {0: 2}},
            "`class_weights` must be None for multi",
        ),
        (1, "sigmoid", BRIGHT, {"class_weights": {2: 1}}, "`class_weights` .* classes 0 to 1"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_training(
    width, activation, labels, settings, message
):
    model = network(width, activation)
    before = model.get_weights()
    with pytest.raises(ValueError, match=f"^{message}") as error:
        Recipe(epochs=1, **settings).fit(model, (IMAGES, labels))
    assert "\n" not in str(error.value)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("task", ["boxes", 1, ""])
def test_wrong_tasks(task):
    with pytest.raises(ValueError, match="^`task` must be one of 'classification', "):
        Recipe(task=task)


@pytest.mark.parametrize("weights", ["even", {0: -1}, 3, {0: "x"}])
def test_wrong_class_weights(weights):
    with pytest.raises(ValueError, match="^`class_weights` must be"):
        Recipe(class_weights=weights)


@pytest.mark.parametrize("logits", [False, True])
def test_binary_losses_are_those_of_keras(logits):
    predictions = RNG.uniform(0.05, 0.95, (16, 3)).astype("float32")
    labels = RNG.integers(0, 2, (16, 3))
    for smoothing in (0.0, 0.2):
        mine = SmoothedBinaryCrossentropy(smoothing, from_logits=logits)
        peer = keras.losses.BinaryCrossentropy(logits, label_smoothing=smoothing)
        assert float(mine(labels, predictions)) == pytest.approx(
            float(peer(labels, predictions)), rel=1e-5
        )
        single = float(mine(labels[:, 0], predictions[:, :1]))
        assert single == pytest.approx(float(peer(labels[:, :1], predictions[:, :1])), rel=1e-5)


def test_weights_are_those_of_keras():
    """`fit(class_weight=...)` weighs the samples of each class so."""
    predictions = RNG.dirichlet(np.ones(3), 16).astype("float32")
    labels = np.arange(16) % 3
    weights = np.array([1.0, 0.0, 5.0])
    peer = keras.losses.SparseCategoricalCrossentropy()(labels, predictions, weights[labels])
    mine = SmoothedCrossentropy(class_weights=weights)(labels, predictions)
    assert float(mine) == pytest.approx(float(peer), rel=1e-5)
    single, yes = predictions[:, :1], labels % 2
    peer = keras.losses.BinaryCrossentropy()(yes[:, None], single, np.array([2.0, 7.0])[yes])
    mine = SmoothedBinaryCrossentropy(class_weights=(2.0, 7.0))(yes, single)
    assert float(mine) == pytest.approx(float(peer), rel=1e-5)
    for loss in (
        SmoothedCrossentropy(class_weights=weights),
        SmoothedBinaryCrossentropy(class_weights=(1, 2)),
    ):
        assert type(loss).from_config(loss.get_config()).class_weights == loss.class_weights


def test_balanced_weights_are_in_inverse_proportion():
    """As scikit-learn's `compute_class_weight("balanced")`: samples / (classes * count)."""
    labels = np.array([0] * 12 + [1] * 3)
    batches = [(IMAGES[:8], labels[:8]), (IMAGES[8:15], labels[8:])]
    arrays = Recipe()  # of the defaults
    assert arrays.class_weights is None
    for train in (batches, [(images, np.eye(2)[rows]) for images, rows in batches]):
        assert weights_for("balanced", Sized(train), 2) == [0.625, 2.5]
    with pytest.raises(
        ValueError, match="^`class_weights` must be a mapping: class 2 has no images"
    ):
        weights_for("balanced", Sized(batches), 3)
    with pytest.raises(ValueError, match="^`class_weights` must be a mapping where `train` can be"):
        weights_for("balanced", iter(batches), 2)
    assert named({"no": 0.5}, ("yes", "no")) == {1: 0.5}
    with pytest.raises(
        ValueError, match="^`class_weights` must be a mapping from the classes yes, no"
    ):
        named({"maybe": 1}, ("yes", "no"))


class Sized(keras.utils.PyDataset):
    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


def test_unequal_classes_are_warned_of_and_weights_help():
    rare = np.concatenate([np.flatnonzero(BRIGHT == 0), np.flatnonzero(BRIGHT == 1)[:2]])
    images, labels = IMAGES[rare], BRIGHT[rare]
    model = network(1, "sigmoid")
    with pytest.warns(
        UserWarning, match="class 0 has 32 images, and class 1 2: .class_weights"
    ) as caught:
        Recipe(epochs=1).fit(model, (images, labels))
    assert caught[0].filename == __file__
    recalls = []
    for weights in (None, "balanced"):
        model = network(1, "sigmoid")
        recipe = Recipe(epochs=12, batch_size=8, learning_rate=0.01, class_weights=weights)
        recipe.fit(model, (images, labels))
        recalls.append((model.predict(IMAGES[BRIGHT == 1], verbose=0) > 0.5).mean())
    assert recalls[1] > recalls[0] + 0.3


def test_accuracy_of_a_single_output_counts_classes():
    for threshold, outputs in ((0.5, [[0.9], [0.4], [0.6]]), (0.0, [[2.0], [-1.0], [0.1]])):
        accuracy = Accuracy(classes=2, threshold=threshold)
        accuracy.update_state([1, 1, 0], outputs)
        assert float(accuracy.result()) == pytest.approx(1 / 3)
        assert accuracy.seen.numpy().tolist() == [1, 2]
    copy = Accuracy.from_config(accuracy.get_config())
    assert copy.threshold == 0.0


@pytest.mark.parametrize(
    ("width", "activation", "labels"), [(1, "sigmoid", BRIGHT), (2, None, NUMBERS)]
)
def test_finetuning_takes_every_task(width, activation, labels):
    model = network(width, activation)
    recipe = FineTune(epochs=2, head_epochs=1, batch_size=16)
    history = finetune(model, (IMAGES, labels), (IMAGES, labels), recipe).history
    assert len(history["val_loss"]) == 3


def test_generators_are_told_by_the_head():
    def batches():
        while True:
            yield IMAGES[:8], NUMBERS[:8, :1]

    history = Recipe(epochs=1).fit(network(1, None), batches(), steps_per_epoch=2).history
    assert "mae" in history
