import dataclasses
import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from keras_bottleneck.training import Recipe, finetune

RNG = np.random.default_rng(0)


def network(activation="softmax"):
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(4, 3, use_bias=False, name="conv"),
            layers.BatchNormalization(name="bn"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation=activation, name="predictions"),
        ]
    )


def bright_images(count=48):
    """Three brightness levels, which are easy to tell apart."""
    labels = np.arange(count) % 3
    images = RNG.normal(size=(count, 6, 6, 1)) * 0.1 + labels[:, None, None, None]
    return images.astype("float32"), labels


def learning_rates(recipe, steps_per_epoch):
    schedule = recipe.schedule(steps_per_epoch)
    return [float(schedule(step)) for step in range(recipe.epochs * steps_per_epoch + 1)]


def test_schedule_at_its_corners():
    rates = learning_rates(Recipe(epochs=10, warmup_epochs=2, learning_rate=0.4), 5)
    assert rates[0] == 0.0
    assert rates[5] == pytest.approx(0.2)
    assert rates[10] == pytest.approx(0.4)
    assert rates[30] == pytest.approx(0.2)
    assert rates[20] == pytest.approx(0.4 * (1 + math.cos(math.pi / 4)) / 2)
    assert rates[50] == pytest.approx(0.0, abs=1e-8)


def test_schedule_without_warmup_starts_at_the_peak():
    rates = learning_rates(Recipe(epochs=2, warmup_epochs=0, learning_rate=0.1), 10)
    assert rates[0] == pytest.approx(0.1)
    assert rates[10] == pytest.approx(0.05)


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 5), st.floats(0, 10), st.integers(1, 6))
def test_schedule_rises_for_half_of_the_steps_at_most(epochs, warmup, steps):
    rates = learning_rates(Recipe(epochs=epochs, warmup_epochs=warmup), steps)
    peak = int(np.argmax(rates))
    assert rates[peak] == pytest.approx(1e-3)
    assert peak <= math.ceil(epochs * steps / 2)
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] == pytest.approx(0.0, abs=1e-8)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "adam", "muon"])
def test_weight_decay_shrinks_kernels_by_the_exact_factor_and_nothing_else(optimizer):
    model = network()
    kernel, gamma = model.get_layer("conv").kernel, model.get_layer("bn").gamma
    gamma.assign(gamma * 3)
    before = keras.ops.convert_to_numpy(kernel)
    # Black images: neither the kernel nor gamma gets a gradient, so that only the decay moves them.
    black = np.zeros((6, 6, 6, 1), "float32"), np.arange(6) % 3
    recipe = Recipe(
        epochs=4, batch_size=2, optimizer=optimizer, learning_rate=0.1, weight_decay=0.5
    )
    with pytest.warns(UserWarning, match="2 of 2 images are of a single colour"):
        recipe.fit(model, black)
    factor = np.prod([1 - 0.5 * rate for rate in learning_rates(recipe, 3)])
    assert factor < 0.8
    np.testing.assert_allclose(keras.ops.convert_to_numpy(kernel), before * factor, rtol=1e-5)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(gamma), 3.0)


class Weights(keras.callbacks.Callback):
    """The raw kernel after every epoch."""

    def on_train_begin(self, logs=None):
        self.kernels = []

    def on_epoch_end(self, epoch, logs=None):
        self.kernels.append(keras.ops.convert_to_numpy(self.model.get_layer("conv").kernel))


@pytest.mark.slow
def test_ema_is_what_validates_and_what_remains():
    model, data, raw = network(), bright_images(), Weights()
    recipe = Recipe(epochs=5, batch_size=48, optimizer="sgd", learning_rate=0.5, ema=0.6)
    history = recipe.fit(model, data, data, callbacks=[raw])
    losses = history.history["val_loss"]
    best = int(np.argmin(losses))
    average = raw.kernels[0]
    for kernel in raw.kernels[1 : best + 1]:
        average = 0.6 * average + 0.4 * kernel
    final = keras.ops.convert_to_numpy(model.get_layer("conv").kernel)
    np.testing.assert_allclose(final, average, rtol=1e-4, atol=1e-6)
    assert np.abs(final - raw.kernels[best]).max() > 1e-3
    again = model.evaluate(*data, verbose=0, return_dict=True)
    assert losses[best] == pytest.approx(again["loss"], rel=1e-4)


def test_logits_and_softmax_give_the_same_loss():
    softmax, logits = network(), network(activation=None)
    logits.set_weights(softmax.get_weights())
    images, labels = bright_images()
    losses = []
    for model in (softmax, logits):
        assert Recipe().compile(model, 3) == []
        losses.append(model.evaluate(images, labels, verbose=0))
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "adam"])
def test_it_learns(optimizer):
    data = bright_images(96)
    recipe = Recipe(epochs=20, batch_size=16, optimizer=optimizer, learning_rate=0.05)
    history = recipe.fit(network(), data, data).history
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert len(history["loss"]) == 20
    assert history["val_accuracy"][-1] > 0.9


def right_network():
    """It tells the three levels of brightness from the beginning."""
    predictions = layers.Dense(3, activation="softmax", name="predictions")
    model = keras.Sequential([keras.Input((6, 6, 1)), layers.GlobalAveragePooling2D(), predictions])
    predictions.set_weights([np.array([[0.0, 10.0, 20.0]]), np.array([0.0, -5.0, -20.0])])
    return model


class SpoilsTheLastEpoch(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.params["epochs"] - 1:
            self.model.get_layer("predictions").bias.assign([50.0, 0.0, 0.0])


@pytest.mark.parametrize("monitor", ["val_loss", "val_accuracy"])
def test_the_best_weights_remain_where_there_is_validation(monitor):
    model, data = right_network(), bright_images()
    recipe = Recipe(epochs=3, batch_size=48, learning_rate=1e-6, monitor=monitor)
    values = np.array(recipe.fit(model, data, data, [SpoilsTheLastEpoch()]).history[monitor])
    best = values.min() if monitor == "val_loss" else values.max()
    assert values[-1] != best
    again = model.evaluate(*data, verbose=0, return_dict=True)
    assert again[monitor.removeprefix("val_")] == pytest.approx(best, rel=1e-5)


class ChangesTheEnd(keras.callbacks.Callback):
    """Sees the best weights at the end, and may change them, as `QuantizationSchedule` does."""

    def on_train_end(self, logs=None):
        self.seen = self.model.get_weights()
        self.model.get_layer("predictions").bias.assign([1.0, 2.0, 3.0])


def test_callbacks_see_the_best_weights_at_the_end_and_have_the_last_word():
    model, data, last = right_network(), bright_images(), ChangesTheEnd()
    recipe = Recipe(epochs=3, batch_size=48, learning_rate=1e-6)
    recipe.fit(model, data, data, [SpoilsTheLastEpoch(), last])
    assert last.seen[-1][0] < 10, "the bias of the spoilt epoch"
    np.testing.assert_array_equal(model.get_weights()[-1], [1.0, 2.0, 3.0])


def test_training_ends_where_validation_does_not_improve():
    recipe = Recipe(epochs=9, batch_size=48, learning_rate=1e-9, monitor="val_accuracy", patience=2)
    model = keras.Sequential([keras.Input((6, 6, 1)), layers.Flatten(), layers.Dense(3)])
    data = bright_images()
    assert len(recipe.fit(model, data, data).history["loss"]) == 1 + 2


@pytest.mark.slow
def test_one_hot_labels_train_like_integers():
    images, labels = bright_images()
    start = network().get_weights()
    results = []
    for kind in (labels, np.eye(3, dtype="float32")[labels]):
        model = network()
        model.set_weights(start)
        results.append(Recipe(epochs=2).fit(model, (images, kind), (images, labels)).history)
    for name, values in results[0].items():
        np.testing.assert_allclose(values, results[1][name], rtol=1e-5)


@pytest.mark.slow
def test_seed_decides_the_order_of_arrays():
    data, start = bright_images(), network().get_weights()

    def trained(seed):
        model = network()
        model.set_weights(start)
        Recipe(epochs=2, batch_size=8, learning_rate=0.1, seed=seed).fit(model, data)
        return model.get_weights()[0]

    np.testing.assert_allclose(trained(1), trained(1), rtol=1e-5)
    assert np.abs(trained(1) - trained(2)).max() > 1e-4


@pytest.mark.slow
def test_plain_fit_after_compile_and_saving(tmp_path):
    model, (images, labels) = network(), bright_images()
    callbacks = Recipe(epochs=2, ema=0.9).compile(model, steps_per_epoch=3)
    model.fit(images, labels, batch_size=16, epochs=2, callbacks=callbacks, verbose=0)
    model.save(tmp_path / "model.keras")
    twin = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        twin.evaluate(images, labels, verbose=0), model.evaluate(images, labels, verbose=0), 1e-5
    )


class Batches(keras.utils.PyDataset):
    def __init__(self, images, labels):
        super().__init__()
        self.images, self.labels = images, labels

    def __len__(self):
        return 4

    def __getitem__(self, index):
        part = slice(index * 12, index * 12 + 12)
        return self.images[part], self.labels[part]


def test_dataset_with_a_length():
    images, labels = bright_images()
    model = network()
    Recipe(epochs=2).fit(model, Batches(images, labels))
    assert int(model.optimizer.iterations) == 8
    with pytest.raises(ValueError, match="labels from 0 to 2 .*labels from 5 to 7"):
        Recipe(epochs=2).fit(model, Batches(images, labels + 5))


def test_generator_needs_its_steps():
    images, labels = bright_images()

    def endless():
        while True:
            yield images, labels

    model = network()
    with pytest.raises(ValueError, match="^`steps_per_epoch` must be given"):
        Recipe(epochs=2).fit(model, endless())
    Recipe(epochs=2).fit(model, endless(), steps_per_epoch=3)
    assert int(model.optimizer.iterations) == 6


@pytest.mark.slow
@pytest.mark.full
def test_tf_data_of_known_and_unknown_length():
    tf = pytest.importorskip("tensorflow", reason="tf.data needs TensorFlow")
    dataset = tf.data.Dataset.from_tensor_slices(bright_images()).batch(12)
    unknown = dataset.filter(lambda images, labels: True)
    for train, steps in ((dataset, None), (unknown, 4), (dataset, 3), (dataset.repeat(), 2)):
        model = network()
        history = Recipe(epochs=3).fit(model, train, dataset, steps_per_epoch=steps)
        assert int(model.optimizer.iterations) == 3 * (steps or 4)
        assert len(history.history["val_loss"]) == 3
    for train in (unknown, dataset.repeat()):
        with pytest.raises(ValueError, match="^`steps_per_epoch` must be given"):
            Recipe().fit(network(), train)
    with pytest.raises(ValueError, match="at least one batch"):
        Recipe().fit(network(), dataset.take(0))


def test_validation_that_cannot_be_read_after_every_epoch_is_refused():
    data = bright_images()
    recipe, wanted = Recipe(epochs=2), "^`validation` must be data that can be read from beginning"
    for validation in (iter([data]), (batch for batch in [data])):
        for fit in (recipe.fit, finetune):
            with pytest.raises(ValueError, match=f"{wanted}.*Received: a (list_it|gen)erator"):
                fit(network(), data, validation)


def test_tf_data_for_validation_must_end():
    tf = pytest.importorskip("tensorflow", reason="tf.data needs TensorFlow")
    data = bright_images()
    dataset = tf.data.Dataset.from_tensor_slices(data).batch(12)
    for validation, received in ((dataset.repeat(), "an endless"), (iter(dataset), "a OwnedIt")):
        with pytest.raises(ValueError, match=f"^`validation` must be data.*: {received}"):
            Recipe(epochs=2).fit(network(), data, validation)


def test_datasets_without_batches_or_labels_are_refused():
    tf = pytest.importorskip("tensorflow", reason="tf.data needs TensorFlow")
    data = bright_images()
    dataset = tf.data.Dataset.from_tensor_slices(data).batch(12)
    images = dataset.map(lambda images, labels: images)
    for name in ("train", "validation"):
        for match, wrong in (
            ("have at least one batch. Received: an empty dataset", dataset.take(0)),
            ("hold batches .images, labels.. Received: a batch without labels", images),
            ("hold batches .images, labels.. Received: a batch without labels", data[0]),
            ("be a dataset of batches .*, or such arrays. Received", 7),
        ):
            sets = {"train": dataset, "validation": None, name: wrong}
            with pytest.raises(ValueError, match=f"^`{name}` must {match}"):
                Recipe(epochs=2).fit(network(), **sets, steps_per_epoch=2)


def test_labels_beyond_the_classes_are_refused_before_training():
    images, labels = bright_images()
    for train, validation in (
        ((images, labels + 1), None),
        ((images, labels), (images, labels - 1)),
    ):
        with pytest.raises(ValueError, match="must have labels from 0 to 2"):
            Recipe().fit(network(), train, validation)


@pytest.mark.parametrize(
    "arrays",
    [(np.ones((3, 6, 6, 1)), [0, 1]), (np.ones((0, 6, 6, 1)), []), (np.ones((3, 2)),), (1, 2)],
)
def test_wrong_arrays_are_refused(arrays):
    with pytest.raises(ValueError, match="must be datasets or .images, labels. arrays"):
        Recipe().fit(network(), arrays)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("epochs", 1.5),
        ("batch_size", True),
        ("optimizer", "adamv"),
        ("learning_rate", 0),
        ("learning_rate", float("inf")),
        ("momentum", 1.0),
        ("warmup_epochs", -1),
        ("weight_decay", "0.1"),
        ("label_smoothing", 1),
        ("ema", 1.0),
        ("ema", 0),
        ("mixed_precision", "float16"),
        ("seed", -1),
        ("monitor", "loss"),
        ("patience", 0),
    ],
)
def test_wrong_fields_are_refused(field, value):
    with pytest.raises(ValueError, match=f"^`{field}` must be .*Received: {field}=") as error:
        Recipe(**{field: value})
    assert "\n" not in str(error.value)


def test_nearest_optimizer_is_suggested():
    with pytest.raises(ValueError, match="did you mean 'adamw'"):
        Recipe(optimizer="adamww")


def test_recipe_is_a_value():
    assert dataclasses.replace(Recipe(), epochs=3) == Recipe(epochs=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().epochs = 3
