import dataclasses

import keras
import numpy as np
import pytest
from keras import layers

import keras_bottleneck as kb
from keras_bottleneck.layers import ConvNormAct
from keras_bottleneck.training import FineTune, Recipe, finetune, recalibrate_batch_norm
from keras_bottleneck.training.rates import StagedAdam, StagedLion, StagedMuon, StagedSGD

RNG = np.random.default_rng(0)
# The networks here are trained for a few steps, which their batch norms are too slow for.
pytestmark = pytest.mark.filterwarnings("ignore:Batch norm 'top_bn'")
LABELS = np.arange(24) % 3
IMAGES = RNG.normal(size=(24, 6, 6, 1)).astype("float32") * 0.1 + LABELS[:, None, None, None]
IMAGES = IMAGES.astype("float32")
DATA = (IMAGES, LABELS)
# One phase of one step on all images, at the full learning rate.
STEP = FineTune(
    epochs=1,
    head_epochs=0,
    stage_epochs=0,
    batch_size=24,
    optimizer="sgd",
    learning_rate=0.1,
    momentum=0.0,
    warmup_epochs=0,
    weight_decay=0.0,
)


def network(head_norm=True):
    """Two stages, and a head with or without a batch norm of its own."""
    inputs = keras.Input((6, 6, 1))
    x = ConvNormAct(4, 3, name="stage1_block1")(inputs)
    x = ConvNormAct(4, 3, stride=2, name="stage2_block1")(x)
    x = layers.GlobalAveragePooling2D()(x)
    if head_norm:
        x = layers.BatchNormalization(name="top_bn")(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="predictions")(x))


def values(model):
    return {one.path: keras.ops.convert_to_numpy(one).copy() for one in model.weights}


def changes(recipe, start=None, data=DATA, validation=None):
    """What a run does to each variable, in float64."""
    keras.utils.set_random_seed(1)
    model = network()
    before = values(model)
    finetune(model, data, validation, recipe)
    return {path: value.astype("float64") - before[path] for path, value in values(model).items()}


def part(path):
    """The stage that a variable belongs to; 0 is the head."""
    return next((stage for stage in (1, 2) if f"stage{stage}" in path), 0)


@pytest.mark.slow
def test_update_of_each_stage_is_exactly_its_share_of_the_rate():
    whole = changes(dataclasses.replace(STEP, stage_rate=1.0))
    scaled = changes(dataclasses.replace(STEP, stage_rate=0.25))
    factors = {0: 1.0, 2: 0.25, 1: 0.0625}
    moved = set()
    for path, change in scaled.items():
        if "moving" not in path:
            np.testing.assert_allclose(change, whole[path] * factors[part(path)], atol=1e-7)
            moved |= {part(path)} if np.abs(change).max() > 1e-5 else set()
    assert moved == {0, 1, 2}


def test_update_is_rate_times_gradient():
    model = keras.Sequential(
        [keras.Input((2,)), layers.Dense(2, use_bias=False, name="a"), layers.Dense(2)]
    )
    inputs, targets = np.array([[1.0, 2.0]], "float32"), np.array([[0.0, 0.0]], "float32")
    kernel = keras.ops.convert_to_numpy(model.get_layer("a").kernel).astype("float64")
    top = keras.ops.convert_to_numpy(model.layers[-1].kernel).astype("float64")
    model.compile(StagedSGD([0.5, 1.0, 1.0], learning_rate=0.1), loss="mse")
    model.fit(inputs, targets, verbose=0)
    gradient = np.outer(inputs[0], top @ (inputs[0] @ (kernel @ top)))
    after = keras.ops.convert_to_numpy(model.get_layer("a").kernel)
    np.testing.assert_allclose(after, kernel - 0.5 * 0.1 * gradient, rtol=1e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_weight_decay_is_scaled_too_and_spares_vectors(optimizer):
    keras.utils.set_random_seed(1)
    model = network()
    before = values(model)
    recipe = dataclasses.replace(
        STEP, optimizer=optimizer, weight_decay=0.5, epochs=2, batch_size=12, stage_rate=0.25
    )
    # Black images: no convolution gets a gradient.
    finetune(model, (IMAGES * 0, LABELS), None, recipe)
    rates = [float(dataclasses.replace(recipe).schedule(2)(step)) for step in range(4)]
    for stage, factor in ((1, 0.0625), (2, 0.25)):
        path = f"stage{stage}_block1/stage{stage}_block1_conv/kernel"
        expected = before[path] * np.prod([1 - 0.5 * factor * rate for rate in rates])
        np.testing.assert_allclose(values(model)[path], expected, rtol=1e-5)
        assert np.abs(expected / before[path] - 1).max() > 1e-3
        np.testing.assert_array_equal(
            values(model)[f"stage{stage}_block1/stage{stage}_block1_bn/gamma"], 1.0
        )


class Trained(keras.callbacks.Callback):
    """Notes which parts are trainable in each phase, and how many epochs it has."""

    def __init__(self):
        super().__init__()
        self.parts, self.epochs = [], []

    def on_train_begin(self, logs=None):
        self.parts.append({part(one.path) for one in self.model.trainable_variables})
        self.epochs.append(0)

    def on_epoch_end(self, epoch, logs=None):
        self.epochs[-1] += 1


@pytest.mark.slow
@pytest.mark.full
def test_phases_go_from_the_head_to_the_input_and_share_one_history():
    model, seen = network(), Trained()
    recipe = FineTune(epochs=3, batch_size=12, patience=None)
    history = finetune(model, DATA, DATA, recipe, callbacks=[seen])
    assert seen.parts == [{0}, {0, 2}, {0, 1, 2}]
    assert seen.epochs == [2, 1, 3]
    assert history.epoch == list(range(6))
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert {len(column) for column in history.history.values()} == {6}
    assert int(model.optimizer.iterations) == 3 * 2


@pytest.mark.parametrize(
    ("fields", "phases"),
    [
        ({}, [(0, 2), (1, 1), (2, 1), (3, 10)]),
        ({"stages": 1}, [(0, 2), (1, 10)]),
        ({"stages": 0}, [(0, 10)]),
        ({"head_epochs": 0}, [(1, 1), (2, 1), (3, 10)]),
        ({"stage_epochs": 0}, [(0, 2), (3, 10)]),
        ({"stage_epochs": 0, "head_epochs": 0}, [(3, 10)]),
        ({"stages": 2, "head_epochs": 1, "stage_epochs": 4, "epochs": 7}, [(0, 1), (1, 4), (2, 7)]),
    ],
)
def test_phases(fields, phases):
    assert FineTune(**fields).phases(3) == phases


def test_head_alone_leaves_the_rest_bit_for_bit():
    changed = changes(dataclasses.replace(STEP, stages=0, epochs=2, batch_norm="trained"))
    for path, change in changed.items():
        assert np.any(change) == (part(path) == 0), path


def test_frozen_batch_norm_is_that_of_the_stages_alone():
    changed = changes(STEP)
    for path, change in changed.items():
        assert np.any(change) == ("_bn/" not in path or "top_bn" in path), path


def test_trained_batch_norm_moves():
    with pytest.warns(UserWarning, match="momentum 0.9: after 1 steps, 90%"):
        changed = changes(dataclasses.replace(STEP, batch_norm="trained"))
    assert all(np.any(change) for path, change in changed.items() if "moving" in path)


def test_slow_batch_norm_in_the_head_warns():
    with pytest.warns(UserWarning, match="'top_bn' has momentum 0.99: after 1 steps, 99%"):
        changes(STEP)


@pytest.mark.parametrize("validation", [None, DATA])
def test_recalibrated_batch_norm_has_the_statistics_of_the_data(validation):
    model = network()
    finetune(model, DATA, validation, dataclasses.replace(STEP, batch_norm="recalibrated"))
    found = values(model)
    recalibrate_batch_norm(model, IMAGES, batch_size=24)
    again = values(model)
    for path in found:
        np.testing.assert_allclose(found[path], again[path], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("monitor", "fields"),
    [
        ("val_accuracy", {"head_epochs": 1}),
        ("val_loss", {"head_epochs": 0, "ema": 0.5}),
        ("val_loss", {"head_epochs": 0, "ema": 0.5, "batch_norm": "recalibrated"}),
    ],
)
def test_best_weights_are_back(monitor, fields):
    model = network()
    # Far too high a rate: the validation goes up and down.
    settings = {"batch_size": 8, "learning_rate": 0.5, "patience": None, "monitor": monitor}
    recipe = FineTune(epochs=4, stages=1, **settings, **fields)
    history = finetune(model, DATA, DATA, recipe).history
    best = min(history["val_loss"]) if monitor == "val_loss" else max(history["val_accuracy"])
    found = model.evaluate(IMAGES, LABELS, batch_size=8, verbose=0, return_dict=True)
    assert found[monitor[4:]] == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize(
    "fields", [{}, {"batch_norm": "recalibrated"}, {"monitor": "val_accuracy", "ema": 0.5}]
)
def test_training_that_diverges_is_refused_and_gives_the_weights_back(fields):
    model = network(head_norm=False)
    before = values(model)
    recipe = dataclasses.replace(STEP, learning_rate=1e30, batch_size=8, **fields)
    with pytest.raises(
        ValueError, match="^Epoch 1, step .*: the loss is nan.*lower the learning rate"
    ):
        finetune(model, DATA, DATA, recipe)
    for path, value in values(model).items():
        np.testing.assert_array_equal(value, before[path])


class SpoilsTheFirstPhase(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if not self.model.get_layer("stage2_block1").trainable:
            self.model.get_layer("predictions").bias.assign([np.nan] * 3)


def test_a_phase_that_diverges_does_not_spoil_the_next():
    recipe = dataclasses.replace(STEP, head_epochs=1, stages=1)
    spoilt = [SpoilsTheFirstPhase()]
    with pytest.warns(UserWarning, match="^Epoch 1, .*training stops"):
        history = finetune(network(False), DATA, DATA, recipe, callbacks=spoilt).history
    finite = np.isfinite([history["loss"], history["val_loss"]]).all(axis=0)
    assert finite.tolist() == [False, True]


def test_phases_end_early():
    seen = Trained()
    fields = {"patience": 2, "monitor": "val_accuracy", "learning_rate": 1e-9}
    recipe = dataclasses.replace(STEP, epochs=9, head_epochs=9, stages=1, **fields)
    history = finetune(network(head_norm=False), DATA, DATA, recipe, callbacks=[seen]).history
    assert len(set(history["val_accuracy"])) == 1  # too low a rate to change it
    assert seen.epochs == [1 + 2, 2]


@pytest.mark.slow
def test_it_learns_with_a_plain_recipe():
    history = finetune(
        network(False), DATA, DATA, Recipe(epochs=40, batch_size=8, learning_rate=0.05)
    )
    assert max(history.history["val_accuracy"]) > 0.9


def test_float16_scales_the_loss_and_the_rates():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="body"), layers.Dense(3)])
    data = RNG.normal(size=(24, 4)).astype("float32"), LABELS
    before = [keras.ops.convert_to_numpy(one).copy() for one in model.weights]
    halves = []
    for rate in (1.0, 0.5):
        for variable, value in zip(model.weights, before, strict=True):
            variable.assign(value)
        recipe = dataclasses.replace(STEP, mixed_precision="mixed_float16", stage_rate=rate)
        finetune(model, data, None, recipe)
        assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
        kernel = keras.ops.convert_to_numpy(model.get_layer("body").kernel)
        halves.append(kernel - before[0])
    assert np.abs(halves[0]).max() > 1e-4
    np.testing.assert_allclose(halves[1], halves[0] / 2, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("optimizer", "kind"),
    [("sgd", StagedSGD), ("adamw", StagedAdam), ("lion", StagedLion), ("muon", StagedMuon)],
)
def test_optimizer_survives_saving(tmp_path, optimizer, kind):
    model = network()
    finetune(model, DATA, None, dataclasses.replace(STEP, optimizer=optimizer, weight_decay=0.1))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    twin = loaded.optimizer
    assert isinstance(twin, kind)
    assert twin.rates == model.optimizer.rates
    assert len(twin.rates) == len(loaded.trainable_variables) == 6  # no batch norm of the stages
    assert twin.decoupled_decay == 0.1
    assert int(twin.iterations) == 1


def test_rates_of_another_number_of_variables_are_refused(tmp_path):
    model = network()
    model.compile(StagedSGD([1.0, 1.0], learning_rate=0.1), "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="`rates` must hold(.|\n)*2 factors for 10"):
        model.fit(IMAGES, LABELS, verbose=0)


def test_networks_of_others_train_from_the_top_and_keep_their_preprocessing():
    inputs = x = keras.Input((8, 8, 3))
    x = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])(x)
    x = layers.Conv2D(4, 3, 2, padding="same", activation="relu", name="stem_conv")(x)
    se = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = x * layers.Conv2D(4, 1, activation="sigmoid", name="se_conv")(se)
    x = layers.Conv2D(4, 3, 2, activation="relu", name="block_conv")(x)
    x = layers.Dense(3, activation="softmax", name="top")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    before = values(model)
    data = RNG.normal(size=(24, 8, 8, 3)).astype("float32"), LABELS
    finetune(model, data, None, dataclasses.replace(STEP, stages=1))
    moved = {path for path, value in values(model).items() if np.any(value != before[path])}
    assert {path.split("/")[0] for path in moved} == {"block_conv", "top"}


def test_preprocessing_in_the_graph_stays_bit_for_bit():
    prepare = kb.Preprocessing(32, scale=1.0, mean=(104.0, 117.0, 124.0), color_order="bgr")
    settings = {"preprocessing": prepare, "include_preprocessing": True, "input_shape": (32, 32, 3)}
    model = kb.ResNet("basic", (1, 1), filters=(4, 8), classes=3, **settings)
    before = values(model)
    pixels = RNG.integers(0, 256, (24, 32, 32, 3)).astype("float32")
    finetune(model, (pixels, LABELS), None, dataclasses.replace(STEP, weight_decay=0.1))
    moved = {path for path, value in values(model).items() if np.any(value != before[path])}
    assert {path for path in moved if path.startswith("preprocessing")} == set()
    assert {path for path in moved if path.startswith("stem")}


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return IMAGES[index * 12 : index * 12 + 12], LABELS[index * 12 : index * 12 + 12]


@pytest.mark.slow
def test_datasets_and_generators():
    recipe = dataclasses.replace(STEP, stages=1, batch_norm="recalibrated")
    model = network()
    finetune(model, Batches(), Batches(), recipe)
    assert int(model.optimizer.iterations) == 2

    def endless():
        while True:
            yield DATA

    frozen = dataclasses.replace(recipe, batch_norm="frozen")
    finetune(model, endless(), DATA, frozen, steps_per_epoch=3)
    assert int(model.optimizer.iterations) == 3
    with pytest.raises(ValueError, match="^`train` must be data that can be read again.*Received"):
        finetune(model, endless(), DATA, recipe, steps_per_epoch=3)
    with pytest.raises(ValueError, match="^`steps_per_epoch` must be given"):
        finetune(model, endless(), DATA, frozen)


@pytest.mark.slow
@pytest.mark.full
def test_tf_data_that_repeats():
    tf = pytest.importorskip("tensorflow", reason="tf.data needs TensorFlow")
    dataset = tf.data.Dataset.from_tensor_slices(DATA).batch(12)
    recipe = dataclasses.replace(STEP, head_epochs=1, stages=1, batch_norm="recalibrated")
    model = network()
    history = finetune(model, dataset.repeat(), dataset, recipe, steps_per_epoch=2)
    assert len(history.history["val_loss"]) == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("head_epochs", -1),
        ("stage_epochs", 0.5),
        ("stages", -1),
        ("stage_rate", 0),
        ("stage_rate", 1.1),
        ("batch_norm", "freeze"),
        ("patience", 0),
        ("monitor", "loss"),
        ("epochs", 0),
    ],
)
def test_wrong_fields_are_refused(field, value):
    with pytest.raises(ValueError, match=f"^`{field}` must be .*Received: {field}=") as error:
        FineTune(**{field: value})
    assert "\n" not in str(error.value)


def test_wrong_calls_are_refused_before_training():
    model = network()
    before = values(model)
    for match, arguments in (
        ("^`recipe` must be a FineTune, a Recipe or None. Received", (DATA, DATA, "recipe")),
        ("^`stages` must be None or at most the 2 of", (DATA, DATA, FineTune(stages=3))),
        ("must have labels from 0 to 2", ((IMAGES, LABELS + 1), DATA)),
        ("must have labels from 0 to 2", (DATA, (IMAGES, LABELS + 1))),
    ):
        with pytest.raises(ValueError, match=match):
            finetune(model, *arguments)
    model.preprocessing = None
    for path, value in values(model).items():
        np.testing.assert_array_equal(value, before[path])
