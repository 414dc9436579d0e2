import keras
import numpy as np
import pytest
from keras import layers

from keras_bottleneck.training.objectives import check_labels
from keras_bottleneck.training.outputs import class_count, output_layers, returns_logits


def sequential(*tail):
    return keras.Sequential([keras.Input((5,)), *tail])


def functional(*tail):
    inputs = outputs = keras.Input((5,))
    for layer in tail:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs)


BUILDERS = pytest.mark.parametrize("build", [sequential, functional])


def cast():
    return layers.Activation("linear", dtype="float32")


@BUILDERS
def test_softmax_or_logits(build):
    assert returns_logits(build(layers.Dense(3)))
    assert returns_logits(build(layers.Dense(3), cast()))
    assert not returns_logits(build(layers.Dense(3, "softmax")))
    assert not returns_logits(build(layers.Dense(3), layers.Softmax()))
    assert not returns_logits(build(layers.Dense(3), layers.Activation("softmax")))
    assert not returns_logits(build(layers.Dense(3, "softmax"), cast()))
    assert not returns_logits(build(layers.Dense(3, "softmax"), layers.Reshape((3,)), cast()))


@BUILDERS
@pytest.mark.parametrize("inner", [sequential, functional])
def test_model_as_last_layer_is_looked_into(build, inner):
    assert returns_logits(build(inner(layers.Dense(3))))
    assert not returns_logits(build(inner(layers.Dense(3, "softmax"))))


@BUILDERS
def test_output_layers_stop_at_the_first_that_computes(build):
    head = layers.Dense(3, "softmax")
    last = cast()
    assert output_layers(build(layers.Dense(4), head, last)) == [last, head]


def test_layer_shared_inside_the_model():
    shared = layers.Dense(5)
    assert returns_logits(functional(shared, layers.ReLU(), shared))


@pytest.mark.parametrize("activation", ["sigmoid", "relu", "tanh"])
def test_other_activations_are_refused(activation):
    with pytest.raises(ValueError, match=f"^`model` must end in a softmax .*'{activation}'.*'top'"):
        returns_logits(functional(layers.Dense(3, activation, name="top")))


def test_bare_operation_is_refused():
    inputs = keras.Input((5,))
    with pytest.raises(ValueError, match="must end in a layer.*softmax"):
        output_layers(keras.Model(inputs, keras.ops.softmax(inputs)))


def test_class_count():
    assert class_count(functional(layers.Dense(7))) == 7
    two_outputs = keras.Input((5,))
    two_outputs = keras.Model(two_outputs, [two_outputs, two_outputs])
    for model in (
        keras.Sequential([layers.Dense(3)]),
        functional(layers.Dense(1)),
        functional(layers.Reshape((5, 1))),
        two_outputs,
    ):
        with pytest.raises(ValueError, match="^`model` must be .*Received"):
            class_count(model)


@pytest.mark.parametrize(
    "labels",
    [
        np.array([0, 3]),
        np.array([-1, 0]),
        np.array([[1], [3]]),
        np.eye(4),
        np.full((2, 3), 0.5),
        np.array([[2.0, -1.0, 0.0]]),
        np.array([0.0, 1.5]),
        np.array([[0.0], [0.5]]),
        np.array([0.0, np.inf]),
        np.array(["cat", "dog"]),
        np.array([b"cat", b"dog"], object),
    ],
    ids=[
        "large",
        "negative",
        "column",
        "rows",
        "boxes",
        "negative rows",
        "half",
        "halves",
        "nan",
        "strings",
        "bytes",
    ],
)
def test_labels_that_do_not_fit_are_refused(labels):
    pattern = "^`validation` must have labels from 0 to 2 .*'three'.* Received"
    with pytest.raises(ValueError, match=pattern):
        check_labels(keras.Model(*tensors(), name="three"), labels, "classification", "validation")


# As mixup, smoothing and 16 bits leave rows.
MIXED = (0.7 * np.eye(3) + 0.1).astype("float16")


@pytest.mark.parametrize("labels", [[0, 2], [0.0, 2.0], [[1], [2]], MIXED, [True], []])
def test_labels_that_fit_pass(labels):
    check_labels(functional(layers.Dense(3)), labels, "classification")


def tensors():
    inputs = keras.Input((5,))
    return inputs, layers.Dense(3)(inputs)
