"""`GradientFlow` measures the true gradients, changes nothing, and names what is wrong."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_bottleneck as kb
from keras_bottleneck.analysis import GradientFlow, GradientReport

on_torch = keras.config.backend() == "torch"
pytestmark = pytest.mark.skipif(on_torch, reason="gradients are taken on TensorFlow and JAX")

IMAGE = (8, 8, 3)


@pytest.fixture
def data(noise):
    return noise(48, *IMAGE), np.arange(48) % 3


def network(dropout=0.5):
    image = keras.Input(IMAGE)
    x = kb.layers.ConvNormAct(4, 3, name="stem")(image)
    x = kb.layers.Bottleneck(2, stride=2, drop_path=0.5, name="block")(x)
    x = layers.Dropout(dropout)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, layers.Dense(3, activation="softmax", name="top")(x), name="small")
    model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
    return model


def chain(*hidden, inputs=2):
    model = keras.Sequential([keras.Input((inputs,)), *hidden])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    return model


def measured(model, x, y, **arguments):
    flow = GradientFlow((x, y), **arguments)
    model.fit(x, y, verbose=0, callbacks=[flow])
    return flow.report


def test_the_norm_is_that_of_the_derivative():
    x, y = np.array([[1.0, 2.0]]), np.array([[3.0]])
    model = chain(layers.Dense(1, kernel_initializer="ones", name="dense"))
    # d/dw (w x + b - y)^2 = 2 (3 - y) x, and 2 (3 - y) for the bias.
    report = measured(model, x, y + 1.0)
    assert report.norms["dense"][0] == pytest.approx(2 * np.sqrt(1 + 4 + 1), rel=1e-6)
    assert measured(model, x, y).dead == ("dense",)


def test_regularization_is_part_of_the_loss():
    x, y = np.array([[1.0, 2.0]]), np.array([[3.0]])
    regular = layers.Dense(1, kernel_initializer="ones", kernel_regularizer="l2", name="dense")
    # 0.01 |w|^2 and nothing else.
    assert measured(chain(regular), x, y).norms["dense"][0] == pytest.approx(0.02 * np.sqrt(2))


def test_sample_weights_count():
    x, y, weights = np.array([[1.0], [1.0]]), np.array([[0.0], [9.0]]), np.array([1.0, 0.0])
    model = chain(layers.Dense(1, kernel_initializer="zeros", use_bias=False), inputs=1)
    flow = GradientFlow((x, y, weights))
    model.fit(x, y, sample_weight=weights, verbose=0, callbacks=[flow])
    assert flow.report.dead == (model.layers[0].name,)


def test_every_layer_inside_blocks_has_a_row(data):
    report = measured(network(), *data)
    assert {"stem_conv", "stem_bn", "block_reduce_conv", "block_shortcut_conv", "top"} <= set(
        report.norms
    )
    assert report.problems == ()
    assert all(value > 0 for values in report.norms.values() for value in values)


@pytest.mark.slow
def test_training_is_the_same_with_and_without_it(data, max_difference):
    weights = []
    for callbacks in ([], [GradientFlow(data, every=1)]):
        keras.utils.set_random_seed(1)
        model = network()
        model.fit(*data, epochs=2, batch_size=16, verbose=0, callbacks=callbacks)
        weights.append([*model.variables])
    assert max_difference(*weights) == 0.0


def test_gradients_follow_the_weights(data):
    x, y = np.array([[1.0]]), np.array([[1.0]])
    model = chain(layers.Dense(1, kernel_initializer="zeros", use_bias=False), inputs=1)
    model.compile(keras.optimizers.SGD(0.25), "mse")
    flow = GradientFlow((x, y), every=1)
    model.fit(x, y, epochs=3, verbose=0, callbacks=[flow])
    # w' = w + 0.25 * 2 (1 - w): each step halves the error, and with it the gradient.
    assert flow.report.norms[model.layers[0].name] == pytest.approx([2.0, 1.0, 0.5, 0.25])


def test_when_it_measures(data):
    flow = GradientFlow(data, every=3)
    model = network()
    model.fit(*data, epochs=2, batch_size=7, verbose=0, callbacks=[flow])  # 7 steps an epoch
    assert flow.report.steps == (0, 3, 6, 7, 10, 13, 14)
    model.fit(*data, batch_size=24, verbose=0, callbacks=[flow])  # anew, as keras.callbacks.History
    assert flow.report.steps == (0, 2)


def test_dead_layers_are_named():
    x, y = np.ones((4, 2)), np.ones((4, 1))
    dead = layers.Dense(
        3, "relu", bias_initializer=keras.initializers.Constant(-100), name="no_way"
    )
    model = chain(layers.Dense(3, name="before"), dead, layers.Dense(1, name="after"))
    with pytest.warns(UserWarning, match="No gradient reaches before, no_way"):
        report = measured(model, x, y)
    assert report.dead == ("before", "no_way")
    assert report.exploding == ()
    assert "No gradient reaches" in str(report)


def test_layers_that_the_loss_does_not_depend_on_are_dead():
    image = keras.Input((2,))
    unused = layers.Dense(2, name="unused")(image)
    halted = layers.Lambda(keras.ops.stop_gradient)(unused)
    model = keras.Model(image, layers.Dense(1, name="used")(halted))
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="unused"):
        assert measured(model, np.ones((2, 2)), np.ones((2, 1))).dead == ("unused",)


def test_a_gradient_far_beyond_the_others_is_exploding():
    image = keras.Input((2,))
    names = ("a", "b", "c", "loud")
    branches = [layers.Dense(1, kernel_initializer="ones", name=name)(image) for name in names]
    branches[-1] = branches[-1] * 2000.0
    model = keras.Model(image, layers.Add()(branches))
    model.compile(keras.optimizers.SGD(0.0), "mse")
    with pytest.warns(UserWarning, match="Gradients explode in loud"):
        report = measured(model, np.ones((2, 2)), np.ones((2, 1)))
    assert report.exploding == ("loud",)


def test_gradients_that_are_not_finite_are_exploding():
    hidden = [layers.Dense(2, name="first"), layers.Rescaling(1e38), layers.Dense(1, name="last")]
    with pytest.warns(UserWarning, match="Gradients explode in first, last"):
        report = measured(chain(*hidden), np.full((2, 2), 1e3), np.ones((2, 1)))
    assert report.exploding == ("first", "last")


def test_frozen_layers_have_no_row(data):
    model = network()
    model.get_layer("stem").trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert not any(name.startswith("stem") for name in measured(model, *data).norms)
    model.trainable = False
    with pytest.raises(ValueError, match=r"^`GradientFlow` must be given a model with trainable"):
        measured(model, *data)


def test_mixed_precision_and_gradient_underflow(data, dtype_policy):
    dtype_policy("mixed_bfloat16")
    report = measured(network(), *data)
    assert report.problems == ()
    assert all(np.isfinite(values).all() for values in report.norms.values())


def test_datasets(data):
    tf = pytest.importorskip("tensorflow", reason="tf.data is TensorFlow's")
    dataset = tf.data.Dataset.from_tensor_slices(data).batch(5)
    (images, labels, weights) = GradientFlow(dataset).batch
    assert images.shape == (5, *IMAGE)
    assert labels.tolist() == [0, 1, 2, 0, 1]
    assert weights is None


def test_arrays_are_cut(data):
    images, labels, _ = GradientFlow(data).batch
    assert len(images) == len(labels) == 32


@pytest.mark.parametrize(
    ("argument", "arguments"),
    [
        ("data", {"data": "photos"}),
        ("data", {"data": np.zeros((2, 2))}),
        ("data", {"data": (np.zeros((2, 2)), np.zeros(3))}),
        ("data", {"data": (np.zeros((0, 2)), np.zeros(0))}),
        ("data", {"data": iter(())}),
        ("data", {"data": 5}),
        ("every", {"every": 0}),
    ],
)
def test_wrong_arguments(argument, arguments):
    arguments = {"data": (np.zeros((2, 2)), np.zeros(2)), **arguments}
    with pytest.raises(ValueError, match=rf"^`{argument}` must be .*Received: "):
        GradientFlow(**arguments)


# The picture


@pytest.fixture
def colours():
    """A function: the colours in a picture, as a set of (red, green, blue)."""

    def read(path):
        from PIL import Image

        pixels = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)
        return set(map(tuple, np.unique(pixels, axis=0).tolist()))

    return read


@pytest.mark.slow
def test_the_picture_is_drawn(data, tmp_path, colours):
    pytest.importorskip("matplotlib", reason="pictures are drawn by matplotlib")
    flow = GradientFlow(data, tmp_path / "flow.png", every=1)
    network().fit(*data, epochs=2, batch_size=16, verbose=0, callbacks=[flow])
    # The ends of viridis.
    assert {(68, 1, 84), (253, 231, 36)} <= colours(tmp_path / "flow.png")


def test_dead_is_black_and_not_finite_is_red(tmp_path, colours):
    pytest.importorskip("matplotlib", reason="pictures are drawn by matplotlib")
    good = {"one": (1.0, 1.0, 2.0), "two": (0.5, 0.3, 0.2)}
    shown = GradientReport((0, 5, 10), good).plot(tmp_path / "good.png")
    assert (255, 0, 0) not in colours(shown)
    bad = {**good, "dead": (0.0, 0.0, 0.0), "wild": (1.0, float("inf"), float("nan"))}
    report = GradientReport((0, 5, 10), bad)
    assert report.dead == ("dead",)
    assert report.exploding == ("wild",)
    assert {(255, 0, 0), (0, 0, 0)} <= colours(report.plot(tmp_path / "bad.png"))
    nothing = GradientReport((0,), {"dead": (0.0,), "wild": (float("nan"),)})
    assert nothing.plot(tmp_path / "nothing.png").is_file()


def test_a_path_that_cannot_be_written_is_refused_before_training(data, tmp_path):
    pytest.importorskip("matplotlib", reason="pictures are drawn by matplotlib")
    with pytest.raises(ValueError, match=r"^`path` must be a picture file in an existing folder"):
        GradientFlow(data, tmp_path / "missing" / "flow.png")
