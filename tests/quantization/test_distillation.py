"""`distill`: the student answers as the teacher does, and the teacher stays as it was."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_bottleneck.quantization import quantize
from keras_bottleneck.quantization.distillation import distill
from keras_bottleneck.training import Recipe

IMAGES = np.random.default_rng(0).normal(size=(128, 6, 6, 2)).astype("float32")
LABELS = np.arange(128) % 3
FAST = {"jit_compile": keras.config.backend() != "tensorflow"}
ENDS = pytest.mark.parametrize("end", [None, "softmax", "softmax layer", "activation"])


@pytest.fixture
def network(trained):
    """A function: a network with batch norm, whose answers are far from even."""

    def build(end=None, seed=0, classes=3, dropout=0.0):
        image = keras.Input((6, 6, 2), name="image")
        x = layers.Conv2D(8, 3, use_bias=False)(image)
        x = layers.Activation("relu")(layers.BatchNormalization()(x))
        x = layers.Dropout(dropout)(layers.GlobalAveragePooling2D()(x))
        x = layers.Dense(classes, "softmax" if end == "softmax" else None, name="top")(x)
        if end == "softmax layer":
            x = layers.Softmax()(x)
        if end == "activation":
            x = layers.Activation("softmax")(x)
        model = trained(keras.Model(image, x), seed)
        kernel = model.get_layer("top").kernel
        kernel.assign(4 * np.random.default_rng(seed).normal(size=kernel.shape))
        return model

    return build


def compiled(distiller, optimizer=None, **arguments):
    distiller.compile(optimizer or keras.optimizers.Adam(0.01), **arguments, **FAST)
    return distiller


def probabilities(model, end, temperature=1.0):
    outputs = np.asarray(keras.ops.convert_to_numpy(model(IMAGES)), "float64")
    logits = np.log(outputs) if end else outputs
    powers = np.exp((logits - logits.max(-1, keepdims=True)) / temperature)
    return powers / powers.sum(-1, keepdims=True)


def divergences(student, teacher, end, temperature=1.0):
    p, q = (probabilities(model, end, temperature) for model in (teacher, student))
    return temperature**2 * (p * np.log(p / q)).sum(-1)


def loss_of(distiller, *data, **arguments):
    return distiller.evaluate(*data, batch_size=len(IMAGES), verbose=0, **arguments)


@ENDS
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_loss_is_the_divergence_of_probabilities(network, end, temperature):
    student, teacher = network(end, seed=1), network(end, seed=2)
    expected = divergences(student, teacher, end, temperature).mean()
    assert expected > 0.05
    distiller = compiled(distill(student, teacher, temperature=temperature))
    assert loss_of(distiller, IMAGES) == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
@pytest.mark.full
@ENDS
def test_fit_brings_the_answers_together_and_leaves_the_teacher(network, end, max_difference):
    teacher = network(end)
    quantized = quantize(teacher, IMAGES)
    for variable in quantized.trainable_variables:  # as if it had been quantized badly
        variable.assign(variable + 0.1 * np.random.default_rng(0).normal(size=variable.shape))
    before, weights = max_difference(quantized(IMAGES), teacher(IMAGES)), teacher.get_weights()
    distiller = compiled(distill(quantized, teacher))
    losses = distiller.fit(IMAGES, batch_size=16, epochs=6, verbose=0).history["loss"]
    assert losses[-1] < 0.3 * losses[0]
    assert max_difference(quantized(IMAGES), teacher(IMAGES)) < 0.6 * before
    assert teacher.trainable
    assert all(layer.trainable for layer in teacher.layers)
    for old, new in zip(weights, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
    for old, new in zip(weights, distiller.teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


@pytest.mark.slow
def test_the_default_is_compiled_and_gentle(network):
    teacher = network()
    quantized = quantize(teacher, IMAGES)
    before = quantized.get_weights()
    history = distill(quantized, teacher).fit(IMAGES, batch_size=64, epochs=1, verbose=0).history
    assert history["loss"][0] < 0.01
    changes = [np.abs(a - b).max() for a, b in zip(quantized.get_weights(), before, strict=True)]
    assert 0 < max(changes) < 1e-4


def test_the_teacher_answers_in_inference_mode(network):
    # The student has the weights, but neither dropout nor batch statistics of its own.
    teacher = network(dropout=0.5)
    student = keras.models.clone_model(teacher)
    student.set_weights(teacher.get_weights())
    for layer in student.layers:
        if isinstance(layer, layers.Dropout):
            layer.rate = 0.0
        layer.trainable = not isinstance(layer, layers.BatchNormalization)
    distiller = compiled(distill(student, teacher), keras.optimizers.SGD(0.0))
    assert float(distiller.train_on_batch(IMAGES)) == pytest.approx(0.0, abs=1e-6)


@ENDS
def test_labels_take_the_rest_of_the_loss(network, end):
    student, teacher = network(end, seed=1), network(end, seed=2)
    divergence = divergences(student, teacher, end).mean()
    entropy = -np.log(probabilities(student, end)[np.arange(len(LABELS)), LABELS]).mean()
    for weight in (0.0, 0.25, 1.0):
        found = loss_of(distill(student, teacher, weight=weight), IMAGES, LABELS)
        assert found == pytest.approx(weight * divergence + (1 - weight) * entropy, rel=1e-4)


def test_labels_may_not_be_missing_where_they_count(network):
    distiller = compiled(distill(network(), network(), weight=0.5))
    with pytest.raises(ValueError, match="`weight` must be 1 .*images alone"):
        distiller.fit(IMAGES, verbose=0)


@pytest.mark.parametrize("shape", [(128,), (128, 1)])
def test_sample_weights(network, shape):
    student, teacher = network(seed=1), network(seed=2)
    weights = np.random.default_rng(3).uniform(0, 2, 128)
    expected = (weights * divergences(student, teacher, None)).mean()
    distiller = compiled(distill(student, teacher))
    found = loss_of(distiller, IMAGES, LABELS, sample_weight=weights.reshape(shape))
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_the_most_wrong_answers_are_learnt_from(network):
    # An int8 softmax says 0 to them; the loss reads the logits before it.
    teacher = network("softmax layer")
    student = quantize(teacher, IMAGES)
    top = student.get_layer("top")
    top.kernel.assign(-10 * top.kernel)
    top.reach.assign(10 * top.reach)
    student.get_layer("top_quant").set_range(-60.0, 60.0)
    answers = keras.ops.convert_to_numpy(student(IMAGES))
    assert (answers[np.arange(128), keras.ops.argmax(teacher(IMAGES), -1)] == 0).any()
    distiller = compiled(distill(student, teacher))
    losses = distiller.fit(IMAGES, batch_size=16, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.slow
def test_files(network, tmp_path, max_difference):
    teacher = network("softmax layer")
    student = quantize(teacher, IMAGES)
    distiller = compiled(distill(student, teacher, temperature=2.0))
    distiller.fit(IMAGES, verbose=0)
    student.save(tmp_path / "student.keras")
    alone = keras.models.load_model(tmp_path / "student.keras")
    assert max_difference(alone(IMAGES), student(IMAGES)) == 0.0
    # A checkpoint amid the training holds the teacher and the optimizer, too.
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    assert max_difference(loaded.student(IMAGES), student(IMAGES)) == 0.0
    assert max_difference(loaded.optimizer.variables, distiller.optimizer.variables) == 0.0
    assert loss_of(loaded, IMAGES) == pytest.approx(loss_of(distiller, IMAGES), rel=1e-5)


@pytest.mark.slow
@pytest.mark.full
@ENDS
def test_recipe(network, end):
    teacher = network(end)
    student = quantize(teacher, IMAGES)
    labels = keras.ops.convert_to_numpy(keras.ops.argmax(teacher(IMAGES), -1))
    recipe = Recipe(epochs=1, batch_size=32, learning_rate=1e-4)
    history = recipe.fit(distill(student, teacher), (IMAGES, labels)).history
    assert history["loss"][0] < 0.01
    assert history["accuracy"][0] > 0.9


WRONG = {
    "temperature": {"temperature": 0},
    "weight": {"weight": 1.1},
    "learning_rate": {"learning_rate": 0.0},
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_numbers_are_refused(network, name):
    with pytest.raises(ValueError, match=f"^`{name}` must be .*Received"):
        distill(network(), network(), **WRONG[name])


def test_models_that_do_not_fit_are_refused(network):
    other = keras.Sequential([keras.Input((6, 6, 1)), layers.Flatten(), layers.Dense(3)])
    sigmoid = keras.Sequential(
        [keras.Input((6, 6, 2)), layers.Flatten(), layers.Dense(3, "sigmoid")]
    )
    for teacher, message in (
        (network(classes=4), "`teacher` must have the classes of `student`, 3. Received: 4"),
        (other, "`teacher` must have the inputs of `student`"),
        (sigmoid, "must end in a softmax"),
        (keras.Sequential([layers.Dense(3)]), "must be a functional or Sequential Keras model"),
        ("model", "must be a functional or Sequential Keras model"),
    ):
        with pytest.raises(ValueError, match=message):
            distill(network(), teacher)
