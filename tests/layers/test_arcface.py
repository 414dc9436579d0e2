"""ArcFace against the reference implementation in float64, and where angles are extreme."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_bottleneck import graph
from keras_bottleneck.layers import ArcFace

FEATURES, CLASSES = 6, 5


def reference(embeddings, centres, labels, margin, scale):
    """The scores as deepinsight/insightface computes them, in float64."""
    x = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    w = centres / np.linalg.norm(centres, axis=0, keepdims=True)
    cosine = np.clip(x @ w, -1, 1)
    sine = np.sqrt(1 - cosine**2)
    shifted = cosine * np.cos(margin) - sine * np.sin(margin)
    beyond = cosine - np.sin(np.pi - margin) * margin
    chosen = np.where(cosine > np.cos(np.pi - margin), shifted, beyond)
    return scale * np.where(np.arange(centres.shape[1]) == labels[:, None], chosen, cosine)


def loss(scores, labels):
    """Mean cross-entropy of logits, in float64."""
    scores = scores - scores.max(1, keepdims=True)
    rows = np.arange(len(labels))
    return np.mean(np.log(np.exp(scores).sum(1)) - scores[rows, labels])


def drawn(seed=0, count=8):
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(count, FEATURES)), rng.normal(size=(FEATURES, CLASSES))
    return x, w, rng.integers(0, CLASSES, count)


def layer_with(centres, margin=0.5, scale=64.0, **arguments):
    layer = ArcFace(centres.shape[1], margin, scale, **arguments)
    layer.build((None, centres.shape[0]))
    layer.centres.assign(centres)
    return layer


def gradients(layer, x, labels):
    """The loss, and its gradients with respect to the embeddings and the centres."""
    x = np.asarray(x, np.float32)

    def mean_loss(embeddings):
        scores = layer([embeddings, labels], training=True)
        return ops.mean(
            keras.losses.sparse_categorical_crossentropy(labels, scores, from_logits=True)
        )

    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            given = tf.Variable(x)
            value = mean_loss(given)
        found = tape.gradient(value, [given, layer.centres.value])
        return float(value), *(one.numpy() for one in found)
    if keras.config.backend() == "jax":
        import jax

        def of(embeddings, centres):
            scope = keras.StatelessScope([(layer.centres, centres)])
            with scope:
                return mean_loss(embeddings)

        value, found = jax.value_and_grad(of, (0, 1))(x, layer.centres.value)
        return float(value), *map(np.asarray, found)
    pytest.skip("the test takes gradients on TensorFlow and JAX")


@pytest.mark.parametrize("margin", [0.0, 0.1, 0.5, 1.5])
@pytest.mark.parametrize("scale", [1.0, 64.0])
def test_scores_are_those_of_the_reference(margin, scale, as_array):
    x, w, labels = drawn(count=200)
    layer = layer_with(w, margin, scale)
    found = as_array(layer([x, labels], training=True))
    expected = reference(x, w, labels, margin, scale)
    np.testing.assert_allclose(found, expected, atol=2e-6 * scale)
    # In more than one of them, the angle with the margin is beyond pi.
    angles = np.arccos(np.clip(reference(x, w, labels, 0.0, 1.0), -1, 1))
    assert margin < 1 or (angles[np.arange(200), labels] + margin > np.pi).sum() > 1


@pytest.mark.parametrize("labels_rank", [1, 2])
def test_labels_are_looked_at_while_training_only(labels_rank, max_difference):
    x, w, labels = drawn()
    layer = layer_with(w)
    labels = labels if labels_rank == 1 else labels[:, None]
    plain = layer(x)
    assert max_difference(layer([x, labels]), plain) == 0.0
    assert max_difference(layer([x, labels], training=False), plain) == 0.0
    assert max_difference(layer(x, training=True), plain) == 0.0
    assert max_difference(layer([x, labels], training=True), plain) > 1.0


def test_lengths_do_not_matter(max_difference):
    x, w, labels = drawn()
    found = layer_with(w)([x, labels], training=True)
    assert max_difference(layer_with(100 * w)([0.01 * x, labels], training=True), found) <= 1e-4


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("margin", [0.0, 0.5, 1.5])
def test_gradients_are_finite_differences(margin, seed):
    x, w, labels = drawn(seed)
    scale, step = 8.0, 1e-6
    value, by_x, by_w = gradients(layer_with(w, margin, scale), x, labels)
    assert value == pytest.approx(loss(reference(x, w, labels, margin, scale), labels), abs=1e-5)
    for array, found in ((x, by_x), (w, by_w)):
        expected = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            kept = array[index]
            sides = []
            for shifted in (kept + step, kept - step):
                array[index] = shifted
                sides.append(loss(reference(x, w, labels, margin, scale), labels))
            array[index] = kept
            expected[index] = (sides[0] - sides[1]) / (2 * step)
        np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("nudge", [0.0, 1e-7, 1e-4])
def test_gradients_are_finite_where_the_angle_is_0_or_pi(sign, nudge):
    _, w, labels = drawn()
    x = sign * w.T[labels] + nudge
    value, by_x, by_w = gradients(layer_with(w), x, labels)
    assert np.isfinite(value)
    assert np.isfinite(by_x).all()
    assert np.isfinite(by_w).all()


def test_an_embedding_of_zeros_has_finite_scores_and_gradients(as_array):
    _, w, labels = drawn()
    layer, x = layer_with(w), np.zeros((8, FEATURES))
    assert np.isfinite(as_array(layer([x, labels], training=True))).all()
    assert all(np.isfinite(one).all() for one in gradients(layer, x, labels))


def test_the_score_of_the_true_class_falls_with_the_angle(as_array):
    """Also where angle and margin together exceed pi, and the cosine of the sum would rise."""
    angles = np.linspace(0, math.pi, 400)
    x = np.stack([np.cos(angles), np.sin(angles)], 1)
    layer = layer_with(np.eye(2), margin=0.5, scale=1.0)
    scores = as_array(layer([x, np.zeros(400, int)], training=True))[:, 0]
    assert (np.diff(scores) < 1e-6).all()
    at_pi = -1 - 0.5 * math.sin(0.5)
    np.testing.assert_allclose([scores[0], scores[-1]], [math.cos(0.5), at_pi], atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_it_computes_in_float32_in_mixed_precision(policy, as_array):
    x, w, labels = drawn()
    layer = layer_with(w, dtype=policy)
    half = ops.cast(x, policy.removeprefix("mixed_"))
    found = layer([half, labels], training=True)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    symbolic = layer([keras.Input((FEATURES,)), keras.Input((), dtype="int32")])
    assert keras.backend.standardize_dtype(symbolic.dtype) == "float32"
    expected = reference(as_array(ops.cast(half, "float32")), w, labels, 0.5, 64.0)
    np.testing.assert_allclose(as_array(found), expected, atol=1e-4)


def test_each_pixel_may_have_an_embedding(noise, max_difference):
    x, labels = noise(2, 4, 3, FEATURES), np.arange(24).reshape(2, 4, 3) % CLASSES
    layer = layer_with(drawn()[1])
    found = layer([x, labels], training=True)
    assert tuple(found.shape) == layer.compute_output_shape(x.shape) == (2, 4, 3, CLASSES)
    rows = layer([x.reshape(-1, FEATURES), labels.reshape(-1)], training=True)
    assert max_difference(ops.reshape(found, (24, CLASSES)), rows) <= 1e-4


def network(policy=None):
    image, label = keras.Input((6, 6, 3)), keras.Input((), dtype="int32", name="label")
    x = keras.layers.Conv2D(4, 3, dtype=policy)(image)
    x = keras.layers.GlobalAveragePooling2D(dtype=policy)(x)
    scores = ArcFace(CLASSES, 0.3, 16.0, dtype=policy, name="arcface")([x, label])
    return keras.Model([image, label], scores)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_fit_moves_every_weight(policy, noise):
    model, labels = network(policy), np.arange(16) % CLASSES
    before = model.get_weights()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, jit_compile=False)
    model.fit([noise(16, 6, 6, 3), labels], labels, batch_size=8, verbose=0)
    for variable, old, new in zip(model.weights, before, model.get_weights(), strict=True):
        assert np.isfinite(new).all(), variable.path
        assert (old != new).any(), variable.path


def test_config_file_and_passes_keep_it(noise, max_difference, tmp_path):
    model, given = network(), [noise(4, 6, 6, 3), np.arange(4)]
    layer = model.get_layer("arcface")
    assert ArcFace.from_config(layer.get_config()).get_config() == layer.get_config()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for copy in (loaded, graph.flatten(model), graph.fold(model)):
        for training in (True, False):
            found, expected = (one(given, training=training) for one in (copy, model))
            assert max_difference(found, expected) == 0.0


WRONG = {
    "classes": lambda: ArcFace(0),
    "margin": lambda: ArcFace(3, margin=math.pi / 2),
    "margin ": lambda: ArcFace(3, margin=-0.1),
    "scale": lambda: ArcFace(3, scale=0.0),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_argument_is_named(case):
    with pytest.raises(ValueError, match=rf"^`{case.strip()}` must be .*\. Received: \w+="):
        WRONG[case]()


@pytest.mark.parametrize("shape", [(None,), (None, None), [(None, 4)], [(None, 4)] * 3])
def test_wrong_inputs_are_named(shape):
    with pytest.raises(ValueError, match="^`inputs` of ArcFace 'head' must be embeddings"):
        ArcFace(3, name="head").build(shape)
