"""Trainings that end before their time, and go on from a checkpoint in the same process."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers

import keras_bottleneck as kb
from keras_bottleneck.training import Checkpoints, FineTune, Recipe, finetune

RNG = np.random.default_rng(0)
DATA = RNG.random((21, 6, 6, 1), "float32"), np.arange(21) % 3
VALIDATION = RNG.random((7, 6, 6, 1), "float32"), np.arange(7) % 3
# 3 batches, of which the last is smaller.
RECIPE = Recipe(epochs=2, batch_size=8, optimizer="sgd", learning_rate=0.1, ema=0.8)


class KilledError(Exception):
    """Stands for whatever ends a process."""


class StopAt(keras.callbacks.Callback):
    """Ends the training after a step, counted from the beginning of this call of `fit`."""

    def __init__(self, step):
        super().__init__()
        self.left = step

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise KilledError


class Counted(keras.callbacks.Callback):
    """Counts what it is told, and has a state."""

    def __init__(self):
        super().__init__()
        self.steps, self.sums, self.begun, self.ended = 0, np.zeros(2), 0, 0

    def on_train_begin(self, logs=None):
        self.begun += 1

    def on_train_end(self, logs=None):
        self.ended += 1

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        self.sums = self.sums + [logs["loss"], 1]

    def get_state(self):
        return {"steps": self.steps, "sums": self.sums}

    def set_state(self, state):
        self.steps, self.sums = state["steps"], state["sums"]


def network(classes=3):
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(4, 3, use_bias=False, name="stage1_conv"),
            layers.BatchNormalization(name="stage1_bn"),
            layers.Dropout(0.3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(classes, activation="softmax"),
        ]
    )


def every_step(folder):
    return Checkpoints(folder, every_s=0)


def state(model):
    variables = [*model.variables, *model.optimizer.variables]
    return [np.array(keras.ops.convert_to_numpy(one)) for one in variables]


def assert_same(one, other):
    for left, right in zip(state(one), state(other), strict=True):
        np.testing.assert_array_equal(left, right)


def stopped(folder, step, recipe=RECIPE, data=DATA, **others):
    with pytest.raises(KilledError):
        recipe.fit(
            network(),
            data,
            VALIDATION,
            callbacks=[Counted(), StopAt(step)],
            checkpoints=every_step(folder),
            **others,
        )


@pytest.fixture(scope="module", autouse=True)
def without_tracing():
    """Tracing takes most of the time of trainings that are so short; killed ones are traced."""
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An undisturbed training: its model, history and callback."""
    model, counted = network(), Counted()
    folder = tmp_path_factory.mktemp("whole")
    history = RECIPE.fit(model, DATA, VALIDATION, [counted], checkpoints=every_step(folder))
    return model, history, counted


# In the first epoch, after its last step, and in the second one.
@pytest.mark.parametrize(
    "step", [pytest.param(1, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow), 4]
)
def test_training_goes_on_to_the_same_bits(whole, tmp_path, step):
    model, history, counted = whole
    stopped(tmp_path, step)
    resumed, again = network(), Counted()
    told = RECIPE.fit(resumed, DATA, VALIDATION, [again], checkpoints=every_step(tmp_path))
    assert_same(resumed, model)
    assert told.history == history.history
    assert told.epoch == [0, 1]
    assert again.steps == counted.steps == 6
    np.testing.assert_array_equal(again.sums, counted.sums)
    assert (again.begun, again.ended) == (1, 1)


def test_finished_training_is_given_back_at_once(whole, tmp_path):
    model, history, _ = whole
    RECIPE.fit(network(), DATA, VALIDATION, checkpoints=tmp_path)
    again = network()
    # A step would end it.
    told = RECIPE.fit(again, DATA, VALIDATION, [StopAt(1)], checkpoints=tmp_path)
    assert_same(again, model)
    assert told.history == history.history


@pytest.mark.slow
def test_seed_that_nobody_asked_for_is_kept(tmp_path):
    recipe = Recipe(epochs=1, batch_size=4, seed=None)
    stopped(tmp_path, 4, recipe)
    order = every_step(tmp_path).newest().facts["training"]["order"]
    recipe.fit(network(), DATA, VALIDATION, [Counted()], checkpoints=tmp_path)
    assert every_step(tmp_path).newest().facts["training"]["order"] == order


def test_checkpoints_of_another_training_are_refused(tmp_path):
    stopped(tmp_path, 2)
    fewer = tuple(one[:20] for one in DATA)
    shorter = tuple(one[:9] for one in DATA)
    for given, wrong in (
        ((Recipe(epochs=9), network(), DATA), "epochs=2 instead of 9"),
        ((RECIPE, network(4), DATA), "a model with other variables"),
        ((RECIPE, network(), shorter), "steps=3 instead of 2"),
        ((RECIPE, network(), fewer), "samples=21 instead of 20"),
        ((FineTune(**vars(RECIPE)), network(), DATA), "recipe='Recipe' instead of 'FineTune'"),
    ):
        recipe, model, data = given
        with pytest.raises(ValueError, match="^`checkpoints` must be .* of the same") as error:
            recipe.fit(model, data, checkpoints=tmp_path)
        assert wrong in str(error.value)
        assert "\n" not in str(error.value)


def test_callbacks_with_a_state_have_to_be_the_same(tmp_path):
    stopped(tmp_path, 2)
    with pytest.raises(ValueError, match="^`callbacks` must be those that the training was begun"):
        RECIPE.fit(network(), DATA, VALIDATION, checkpoints=tmp_path)


class Spoilt(keras.callbacks.Callback):
    """Makes the weights NaN after a step."""

    def on_train_batch_end(self, batch, logs=None):
        if batch == 1:
            kernel = self.model.layers[0].kernel
            kernel.assign(kernel * float("nan"))


def test_network_that_has_become_nan_is_not_kept(tmp_path):
    with pytest.raises(ValueError, match="^Epoch 1, step"):
        RECIPE.fit(network(), DATA, callbacks=[Spoilt()], checkpoints=every_step(tmp_path))
    found = every_step(tmp_path).newest()
    assert (found.facts["done"], found.facts["step"]) == (0, 1)


def test_full_disk_does_not_stop_the_training(whole, tmp_path):
    resource = pytest.importorskip("resource", reason="Windows has no limit on files")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    model = network()
    # Less than a checkpoint has, and more than a training says.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, before[1]))
    try:
        with pytest.warns(UserWarning, match="was not written"):
            RECIPE.fit(model, DATA, VALIDATION, [Counted()], checkpoints=every_step(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert_same(model, whole[0])
    assert not list(tmp_path.iterdir())


class Batches(keras.utils.PyDataset):
    """Another order in each epoch."""

    def __init__(self):
        super().__init__()
        self.epoch = 0

    def __len__(self):
        return 3

    def __getitem__(self, index):
        chosen = np.random.default_rng([self.epoch, index]).integers(0, 21, 4)
        return DATA[0][chosen], DATA[1][chosen]

    def on_epoch_end(self):
        self.epoch += 1


@pytest.mark.slow
@pytest.mark.parametrize("step", [2, 4])
def test_datasets_of_others_are_read_again_up_to_the_batch(tmp_path, step):
    undisturbed = network()
    RECIPE.fit(undisturbed, Batches(), VALIDATION, checkpoints=tmp_path / "whole")
    with pytest.raises(KilledError):
        RECIPE.fit(
            network(),
            Batches(),
            VALIDATION,
            [StopAt(step)],
            checkpoints=every_step(tmp_path / "part"),
        )
    resumed = network()
    RECIPE.fit(resumed, Batches(), VALIDATION, checkpoints=tmp_path / "part")
    assert_same(resumed, undisturbed)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Batch norm")
@pytest.mark.parametrize("step", [4, 9, 16])
def test_phases_of_finetune_go_on(tmp_path, step):
    recipe = FineTune(
        epochs=2, head_epochs=1, batch_size=4, patience=1, batch_norm="recalibrated", ema=0.5
    )
    undisturbed = network()
    history = finetune(undisturbed, DATA, VALIDATION, recipe, checkpoints=tmp_path / "whole")
    with pytest.raises(KilledError):
        finetune(
            network(),
            DATA,
            VALIDATION,
            recipe,
            [StopAt(step)],
            checkpoints=every_step(tmp_path / "part"),
        )
    resumed = network()
    told = finetune(resumed, DATA, VALIDATION, recipe, checkpoints=tmp_path / "part")
    assert_same(resumed, undisturbed)
    assert told.history == history.history


def test_a_dataset_that_lost_its_place_is_warned_of(tmp_path):
    pytest.importorskip("tensorflow", reason="digits are read with tf.data")
    digits = kb.data.digits(8, batch_size=64)
    shifted = digits.train.map(lambda images, labels: (images + 1, labels)).take(1)
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(10)])
    for train, warned in ((shifted, 1), (digits.train.take(1), 1), (VALIDATION, 0)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            folder = tmp_path / str(id(train))
            Recipe(epochs=1).fit(model if warned else network(), train, checkpoints=folder)
        told = [one for one in caught if "behind `map`, `batch`" in str(one.message)]
        assert len(told) == warned


def test_determinism_is_part_of_the_training(tmp_path):
    RECIPE.fit(network(), VALIDATION, checkpoints=tmp_path, deterministic=False)
    with pytest.raises(ValueError, match="one of deterministic=False instead of True"):
        RECIPE.fit(network(), VALIDATION, checkpoints=tmp_path)
