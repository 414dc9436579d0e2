"""Numbers that are lost at random places of a training: what remains is the last good state.

`KERAS_BOTTLENECK_TRIALS=100 pytest tests/faults/test_numbers.py` is the full run.
"""

import os

import keras
import numpy as np
import pytest
from keras import layers

import keras_bottleneck as kb
from keras_bottleneck import runs
from keras_bottleneck.training import Accuracy, HealthCheck, Recipe

TRIALS = int(os.environ.get("KERAS_BOTTLENECK_TRIALS", "12"))
EPOCHS, STEPS = 4, 3
LABELS = np.arange(24) % 3
IMAGES = np.random.default_rng(0).normal(size=(24, 8, 8, 3)).astype("float32")


class Fault(keras.callbacks.Callback):
    """Puts a value into the weights of a layer, before one step of one epoch."""

    def __init__(self, epoch, step, layer, value):
        super().__init__()
        self.place, self.layer, self.value = (epoch, step), layer, value
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == self.place:
            for variable in self.model.get_layer(self.layer).trainable_variables:
                variable.assign(np.full(variable.shape, self.value, "float32"))


class States(keras.callbacks.Callback):
    """The state at the end of each epoch."""

    def __init__(self):
        super().__init__()
        self.states = []

    def on_epoch_end(self, epoch, logs=None):
        self.states.append(values_of(variables_of(self.model)))


def variables_of(model):
    return [*model.variables, *model.optimizer.variables]


def values_of(variables):
    return [np.array(keras.ops.convert_to_numpy(one)) for one in variables]


def network():
    image = keras.Input((8, 8, 3))
    x = kb.layers.ConvNormAct(4, 3, name="stem")(image)
    x = kb.layers.BasicBlock(4, name="block")(x)
    x = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, layers.Dense(3, activation="softmax", name="top")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=[Accuracy(classes=3)])
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.mark.slow
def test_the_last_good_state_remains_wherever_numbers_are_lost():
    model, clean = network(), States()
    arguments = {"batch_size": 8, "epochs": EPOCHS, "shuffle": False, "verbose": 0}
    start = values_of(variables_of(model))
    model.fit(IMAGES, LABELS, callbacks=[clean], **arguments)
    good = [start, *clean.states]
    rng = np.random.default_rng(0)
    for _ in range(TRIALS):
        epoch, step = int(rng.integers(EPOCHS)), int(rng.integers(STEPS))
        layer = str(rng.choice(["stem", "block", "top"]))
        value = float(rng.choice([np.nan, np.inf, -np.inf]))
        for variable, one in zip(variables_of(model), start, strict=True):
            variable.assign(one)
        health, states = HealthCheck((IMAGES[:8], LABELS[:8])), States()
        with pytest.warns(UserWarning, match=f"^Epoch {epoch + 1}, step {step + 1}: the loss is"):
            model.fit(
                IMAGES,
                LABELS,
                callbacks=[health, states, Fault(epoch, step, layer, value)],
                **arguments,
            )
        assert health.good_epoch == epoch and len(states.states) == epoch + 1
        for found in (values_of(variables_of(model)), states.states[-1]):
            assert all(map(np.array_equal, found, good[epoch]))


@pytest.mark.slow
def test_a_run_that_diverges_leaves_no_spoilt_file(flowers):
    """A learning rate far beyond reason: one error, and files that hold finite weights."""
    recipe = Recipe(epochs=2, optimizer="sgd", learning_rate=1e25, warmup_epochs=0, batch_size=8)
    with (
        pytest.warns(UserWarning, match="^Epoch 1, step .* lower the learning rate"),
        pytest.raises(ValueError, match="^Epoch 1, step"),
    ):
        runs.train("flowers", "run", "ResNet20", image_size=32, augment=(), recipe=recipe)
    for file in flowers.glob("run/*.keras"):
        weights = keras.models.load_model(file, compile=False).get_weights()
        assert all(np.isfinite(one).all() for one in weights)
