"""Muon on kernels of convolutions: the step worked out in numpy, and which variables take it."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_bottleneck.models import MobileNetV2
from keras_bottleneck.training import Recipe
from keras_bottleneck.training.rates import StagedMuon

RNG = np.random.default_rng(0)


def orthogonal(matrix):
    """Newton-Schulz as in Jordan et al. 2024: five steps on the side with fewer rows."""
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (np.linalg.norm(x) + 1e-7)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


@pytest.mark.parametrize("shape", [(3, 3, 4, 6), (1, 1, 3, 40), (5, 6)])
def test_two_steps_are_those_worked_out_by_hand(shape):
    start, gradients = RNG.normal(size=shape), RNG.normal(size=(2, *shape))
    variable = keras.Variable(start, dtype="float32", name="kernel")
    optimizer = StagedMuon(learning_rate=0.1, momentum=0.9, weight_decay=0.05)
    optimizer.build([variable])
    expected, momentum = start, np.zeros(shape)
    for gradient in gradients:
        optimizer.apply([keras.ops.cast(gradient, "float32")], [variable])
        momentum = 0.9 * momentum + gradient
        matrix = (gradient + 0.9 * momentum).reshape(-1, shape[-1])
        scale = 0.2 * max(matrix.shape) ** 0.5
        step = scale * orthogonal(matrix).reshape(shape)
        expected = expected * (1 - 0.1 * 0.05) - 0.1 * step
    np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), expected, atol=2e-5)


def test_the_head_vectors_and_depthwise_kernels_go_by_adamw(tmp_path):
    model = MobileNetV2(input_shape=(32, 32, 3), classes=3, alpha=0.1)
    Recipe(optimizer="muon").compile(model, 10)
    optimizer = model.optimizer
    optimizer.build(model.trainable_variables)
    for variable, taken in zip(model.trainable_variables, optimizer.taken, strict=True):
        matrix = len(variable.shape) == 4 and variable.shape[-1] > 1
        assert taken == matrix, variable.path
    assert sum(optimizer.taken) == 35  # of MobileNetV2's 52 convolutions, 17 are depthwise
    model.save(tmp_path / "model.keras")
    twin = keras.models.load_model(tmp_path / "model.keras").optimizer
    assert twin.taken == optimizer.taken
    assert twin.get_config() == optimizer.get_config()


def test_a_head_inside_of_a_nested_model_is_known_by_its_name():
    body = [keras.Input((6, 6, 1)), layers.Conv2D(4, 3, name="conv")]
    inner = keras.Sequential(body, name="body")
    pool = layers.GlobalAveragePooling2D()
    model = keras.Sequential([inner, pool, layers.Dense(3, activation="softmax", name="top")])
    Recipe(optimizer="muon").compile(model, 10)
    model.optimizer.build(model.trainable_variables)
    taken = zip(model.trainable_variables, model.optimizer.taken, strict=True)
    assert [one.path for one, is_taken in taken if is_taken] == ["body/conv/kernel"]


@pytest.mark.parametrize(("optimizer", "rate"), [("muon", 1e-2), ("lion", 3e-3)])
def test_it_learns_which_way_stripes_run(optimizer, rate):
    keras.utils.set_random_seed(0)
    rows = np.repeat(np.random.default_rng(1).random((64, 8, 1, 1), "float32"), 8, axis=2)
    images = np.concatenate([rows, rows.transpose(0, 2, 1, 3)])
    labels = np.repeat([0, 1], 64)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.Conv2D(8, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    recipe = Recipe(epochs=12, batch_size=16, optimizer=optimizer, learning_rate=rate)
    history = recipe.fit(model, (images, labels), (images, labels)).history
    assert history["val_accuracy"][-1] > 0.95
