"""`HealthCheck` says what is wrong, once, where and what to do, and keeps the last good state."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers

from keras_bottleneck.training import Accuracy, FineTune, HealthCheck, Recipe, finetune

RNG = np.random.default_rng(0)
LABELS = np.arange(48) % 3
IMAGES = (RNG.normal(size=(48, 6, 6, 1)) * 0.1 + LABELS[:, None, None, None]).astype("float32")
POISONED = IMAGES.copy()
POISONED[40] = np.nan  # in the third batch of 16


def network(*hidden, activation="softmax"):
    """conv, batch norm, what is given, a ReLU, and a classifier of three classes."""
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(4, 3, use_bias=False, name="conv"),
            layers.BatchNormalization(name="bn"),
            *hidden,
            layers.ReLU(name="act"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation=activation, name="top"),
        ]
    )


def compiled(model=None, optimizer=None):
    model = model or network()
    model.compile(
        optimizer or keras.optimizers.SGD(0.1, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=[Accuracy(classes=3)],
    )
    return model


def values_of(variables):
    return [np.array(keras.ops.convert_to_numpy(one)) for one in variables]


def state(model):
    return values_of([*model.variables, *model.optimizer.variables])


def fit(model, callbacks, **arguments):
    """Three steps of 16 images in an epoch."""
    arguments = {"batch_size": 16, "verbose": 0, "shuffle": False, **arguments}
    return model.fit(IMAGES, LABELS, callbacks=callbacks, **arguments)


def problems_of(model, images=IMAGES, labels=LABELS, batch=None, **arguments):
    """What is said while `model` is trained."""
    health = HealthCheck((images[:16], labels[:16]) if batch is None else batch)
    arguments = {"batch_size": 16, "verbose": 0, "shuffle": False, **arguments}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(images, labels, callbacks=[health], **arguments)
    said = [str(one.message) for one in caught if one.category is UserWarning]
    assert said == health.problems
    return health.problems


class Poison(keras.callbacks.Callback):
    """Makes the kernel of a layer NaN before a step."""

    def __init__(self, epoch, step=1, layer="conv"):
        super().__init__()
        self.place, self.layer = (epoch, step), layer
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch + 1

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch + 1) == self.place:
            kernel = self.model.get_layer(self.layer).kernel
            kernel.assign(np.full(kernel.shape, np.nan))


class States(keras.callbacks.Callback):
    """The state at the end of each epoch, as a checkpoint would save it."""

    def on_train_begin(self, logs=None):
        self.states = []

    def on_epoch_end(self, epoch, logs=None):
        self.states.append(state(self.model))


def equal(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


# The loss that is lost


def test_a_nan_stops_training_at_the_end_of_the_epoch_before():
    model, health, states = compiled(), HealthCheck((IMAGES[:16], LABELS[:16])), States()
    with pytest.warns(UserWarning, match="^Epoch 2, step 3: the loss is nan, which began in layer"):
        history = fit(model, [health, states, Poison(2, 3)], epochs=5)
    assert "'bn'" in health.failure and "\n" not in health.failure
    assert "the weights of the end of epoch 1 again: look for NaN" in health.failure
    assert len(history.history["loss"]) == 2 and health.good_epoch == 1
    # What a callback would save at the end of the bad epoch is the good state, too.
    assert equal(states.states[0], states.states[1])
    assert equal(states.states[0], state(model))
    assert int(model.optimizer.iterations) == 3


def test_keras_own_callback_leaves_nan_in_the_model():
    model = compiled()
    stop = keras.callbacks.TerminateOnNaN()
    model.fit(POISONED, LABELS, epochs=2, batch_size=16, verbose=0, callbacks=[stop])
    assert not np.isfinite(model.get_layer("conv").get_weights()[0]).any()


def test_a_nan_in_the_first_epoch_leaves_the_model_as_it_came():
    model = compiled()
    before = values_of(model.variables)
    (said,) = problems_of(model, POISONED, batch=(IMAGES[:16], LABELS[:16]), epochs=2)
    assert said.startswith("Epoch 1, step 3: the loss is nan, which began in layer 'bn' all of a")
    assert "has the weights that it began with again" in said
    assert equal(before, values_of(model.variables))
    # The model still learns: nothing of the bad step is left, in the optimizer neither.
    assert problems_of(model, epochs=2) == []


def test_a_diverging_loss_and_weights_that_overflow():
    model = compiled(network(activation="linear"), keras.optimizers.SGD(1e15))
    model.compile(keras.optimizers.SGD(1e15), "mse")
    before = values_of(model.variables)
    (said,) = problems_of(model, labels=np.eye(3, dtype="float32")[LABELS], epochs=3)
    assert "lower the learning rate or clip gradients (`clipnorm=1`), at a rate of 1e+15" in said
    assert equal(before, values_of(model.variables))


def test_weights_that_are_not_finite_behind_a_finite_loss():
    """The last step of an epoch spoils the weights, and no loss tells."""
    model = compiled(optimizer=keras.optimizers.SGD(1e39))
    before = values_of(model.variables)
    (said,) = problems_of(model, batch_size=48)
    assert said.startswith("Epoch 1, step 1: weights of conv")
    assert equal(before, values_of(model.variables))


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [0, 1])
def test_running_averages_come_back_too(epochs):
    """What remains is the average at the end of the last good epoch, as if `fit` ended there."""
    results = []
    start = network().get_weights()
    for poisoned in (False, True):
        model = compiled(optimizer=keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
        model.set_weights(start)
        callbacks = [HealthCheck(), keras.callbacks.SwapEMAWeights()]
        if poisoned:
            callbacks.append(Poison(epochs + 1, 3))
            with pytest.warns(UserWarning, match=f"^Epoch {epochs + 1}, step 3"):
                fit(model, callbacks, epochs=3, validation_data=(IMAGES, LABELS))
        elif epochs:
            fit(model, callbacks, epochs=epochs, validation_data=(IMAGES, LABELS))
        results.append(model.get_weights())
    assert equal(*results)


def test_who_keeps_checkpoints_restores_them():
    model, called = compiled(), []
    health = HealthCheck(restore=lambda: called.append(True))
    with pytest.warns(UserWarning, match="training stops"):
        model.fit(POISONED, LABELS, batch_size=16, epochs=3, verbose=0, callbacks=[health])
    assert called == [True]


def test_float16_has_a_remedy_of_its_own(dtype_policy):
    dtype_policy("mixed_float16")
    (said,) = problems_of(compiled(), POISONED, batch=(IMAGES[:16], LABELS[:16]))
    assert "mixed_bfloat16" in said


def test_without_batch_norm_the_largest_gradient_is_named():
    model = keras.Sequential(
        [keras.Input((6, 6, 1)), layers.Flatten(), layers.Dense(3, name="one")]
    )
    model.compile("sgd", "mse")
    targets = np.eye(3, dtype="float32")[LABELS]
    (said,) = problems_of(model, POISONED, targets, batch=(IMAGES[:16], targets[:16]))
    if keras.config.backend() != "torch":
        assert "was that of layer 'one'" in said


# What only slows or spoils the learning


@pytest.mark.slow
def test_healthy_training_is_left_alone_and_unchanged():
    results = []
    for watched in (False, True):
        keras.utils.set_random_seed(3)
        model = compiled(network(layers.Dropout(0.5)))
        if watched:
            assert problems_of(model, epochs=3, validation_data=(IMAGES, LABELS)) == []
        else:
            fit(model, [], epochs=3)
        results.append(state(model))
    assert equal(*results)


def test_a_dead_relu_is_named_once():
    dead = layers.Conv2D(
        4, 1, activation="relu", bias_initializer=keras.initializers.Constant(-9), name="no_way"
    )
    (said,) = problems_of(compiled(network(dead)), epochs=3)
    assert said.startswith("Before the first epoch: all outputs of the ReLU in no_way, act are")


def test_a_relu_that_dies_on_the_way():
    class Push(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                self.model.get_layer("bn").beta.assign(np.full(4, -9.0))

    model, health = compiled(), HealthCheck((IMAGES[:16], LABELS[:16]))
    with pytest.warns(UserWarning, match="^Epoch 2: all outputs of the ReLU in act are zero"):
        model.fit(IMAGES, LABELS, epochs=3, verbose=0, callbacks=[health, Push()])
    assert len(health.problems) == 1


@pytest.mark.slow
def test_a_class_that_is_never_seen():
    (said,) = problems_of(compiled(), labels=np.minimum(LABELS, 1), epochs=2)
    assert said.startswith("Epoch 1: no image of class 2 has been trained on, of 3 classes")
    # Seen in the validation alone is not seen.
    validation = {"validation_data": (IMAGES, LABELS)}
    assert len(problems_of(compiled(), labels=np.minimum(LABELS, 1), **validation)) == 1
    # Too few samples to tell.
    assert problems_of(compiled(), IMAGES[:16], np.minimum(LABELS, 1)[:16]) == []


def test_images_of_a_single_colour():
    half = IMAGES.copy()
    half[:9] = 0.0
    (said, *_) = problems_of(compiled(), half)
    assert said.startswith("Before the first epoch: 9 of 16 images are of a single colour")
    half[:1] = IMAGES[:1]
    assert problems_of(compiled(), half) == []


@pytest.mark.slow
def test_batch_norm_on_single_images_and_on_single_values():
    (said,) = problems_of(
        compiled(), IMAGES[:4], LABELS[:4], batch=(IMAGES[:1], LABELS[:1]), batch_size=1
    )
    assert "batch norm 'bn' and all others take their statistics from one image" in said
    frozen = network()
    frozen.get_layer("bn").trainable = False
    one = (IMAGES[:1], LABELS[:1])
    assert problems_of(compiled(frozen), IMAGES[:4], LABELS[:4], batch=one, batch_size=1) == []
    if keras.config.backend() == "torch":
        return  # refuses single values by itself
    small = [layers.Conv2D(4, 4, name="to_a_point"), layers.BatchNormalization(name="point_bn")]
    (dead, said) = problems_of(
        compiled(network(*small)), IMAGES[:4], LABELS[:4], batch=one, batch_size=1
    )
    assert "ReLU in act" in dead
    assert "batch norm sees a single value of each channel in point_bn" in said


def test_gradients_that_explode():
    if keras.config.backend() == "torch":
        pytest.skip("gradients are taken on TensorFlow and JAX")
    loud = layers.Conv2D(4, 1, kernel_initializer=keras.initializers.Constant(1e-7), name="loud")
    model = compiled(network(loud, layers.Rescaling(1e7)), keras.optimizers.SGD(0.0))
    (said,) = problems_of(model)
    assert said.startswith("Epoch 1: the gradient of loud, not finite or a thousand times as large")


def test_kernels_that_grow_a_thousandfold():
    (said,) = problems_of(compiled(optimizer=keras.optimizers.SGD(1e5)), batch_size=48)
    assert said.startswith("Epoch 1: the kernel of ")
    assert "gradients explode: lower the learning rate" in said


def test_a_validation_loss_that_is_not_finite():
    model = compiled()
    (said,) = problems_of(model, epochs=2, validation_data=(POISONED, LABELS))
    assert said.startswith("Epoch 1: the validation loss is not finite, although the training loss")


@pytest.mark.parametrize("wrong", [{"batch": "photos"}, {"batch": 5}, {"restore": 3}])
def test_wrong_arguments(wrong):
    with pytest.raises(ValueError, match="must be .*Received: "):
        HealthCheck(**wrong)


# In the recipes


def test_a_recipe_stops_with_what_it_has_learnt():
    model, states = network(), States()
    with pytest.warns(UserWarning, match="^Epoch 3, step 1: the loss is nan"):
        history = Recipe(epochs=5, warmup_epochs=0).fit(
            model, (IMAGES, LABELS), callbacks=[Poison(3), states]
        )
    assert len(history.history["loss"]) == 3
    assert equal(states.states[1], state(model))


def test_a_recipe_that_learns_nothing_is_an_error():
    model = network()
    before = model.get_weights()
    with (
        pytest.warns(UserWarning, match="the loss is nan"),
        pytest.raises(ValueError, match="^Epoch 1, step 1: the loss is nan"),
    ):
        Recipe(epochs=5).fit(model, (IMAGES, LABELS), callbacks=[Poison(1)])
    assert equal(before, model.get_weights())


@pytest.mark.slow
def test_fine_tuning_stops_with_the_best_weights():
    model, recipe = network(), FineTune(head_epochs=2, epochs=5, patience=None)
    with pytest.warns(UserWarning, match="^Epoch 4, step 1: the loss is nan"):
        history = finetune(model, (IMAGES, LABELS), (IMAGES, LABELS), recipe, callbacks=[Poison(4)])
    assert len(history.history["loss"]) == 4
    assert history.history["val_loss"][3] == pytest.approx(history.history["val_loss"][2])
    loss = model.evaluate(IMAGES, LABELS, verbose=0, return_dict=True)["loss"]
    assert loss == pytest.approx(min(history.history["val_loss"]), rel=1e-4)


def test_accuracy_counts_the_classes():
    accuracy = Accuracy(classes=3)
    accuracy.update_state([0, 2], np.ones((2, 3)))
    accuracy.update_state(np.array([[0.4, 0.6, 0.0]]), np.ones((1, 3)))
    np.testing.assert_array_equal(values_of([accuracy.seen])[0], [1, 1, 1])
    accuracy.reset_state()
    np.testing.assert_array_equal(values_of([accuracy.seen])[0], [0, 0, 0])
    assert Accuracy.from_config(accuracy.get_config()).classes == 3
    with pytest.raises(ValueError, match="^`classes` must be an integer of at least 2"):
        Accuracy(classes=1)
