"""Our batch norm and Keras's are the same function; only the way to the numbers differs."""

import keras
import numpy as np
import pytest

from keras_bottleneck.layers import BatchNormalization

BACKEND = keras.config.backend()
TENSORFLOW, FAST = BACKEND == "tensorflow", BACKEND in ("tensorflow", "jax")
only_tensorflow = pytest.mark.skipif(not TENSORFLOW, reason="the fused kernel is TensorFlow's")
only_fast = pytest.mark.skipif(not FAST, reason="on this backend the code is Keras's own")


@pytest.fixture
def gradients():
    """A function: outputs and gradients of sum(layer(x) * direction) for x, gamma and beta."""

    def with_jax(layer, x, direction, training=True):
        import jax

        others = [variable.value for variable in layer.non_trainable_variables]

        def total(x, weights):
            y, others_after = layer.stateless_call(weights, others, x, training=training)
            return (y.astype("float32") * direction).sum(), (y, others_after)

        weights = [variable.value for variable in layer.trainable_variables]
        compute = jax.grad(total, argnums=(0, 1), has_aux=True)
        (of_x, of_weights), (y, others_after) = compute(x, weights)
        for variable, value in zip(layer.non_trainable_variables, others_after, strict=True):
            variable.assign(value)
        return y, [of_x, *of_weights]

    def with_tensorflow(layer, x, direction, training=True):
        import tensorflow as tf

        x = tf.convert_to_tensor(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
            loss = tf.reduce_sum(tf.cast(y, "float32") * direction)
        sources = [x, *(variable.value for variable in layer.trainable_variables)]
        return y, tape.gradient(loss, sources)

    return with_tensorflow if TENSORFLOW else with_jax


@pytest.fixture
def fast_calls(monkeypatch):
    """Counts the calls of the fused kernel, or of the one pass on jax."""
    calls = []
    name = "_fused" if TENSORFLOW else "_one_pass_training_call"
    original = getattr(BatchNormalization, name)

    def spy(self, inputs, *statistics):
        calls.append(inputs.shape)
        return original(self, inputs, *statistics)

    monkeypatch.setattr(BatchNormalization, name, spy)
    return calls


def pair(shape, **arguments):
    """Ours and Keras's with the same random weights."""
    ours, stock = BatchNormalization(**arguments), keras.layers.BatchNormalization(**arguments)
    generator = np.random.default_rng(3)
    ours.build(shape)
    stock.build(shape)
    weights = [generator.uniform(0.5, 1.5, weight.shape) for weight in stock.get_weights()]
    ours.set_weights(weights)
    stock.set_weights(weights)
    return ours, stock


def assert_same_weights(ours, stock, tolerance=1e-5):
    for one, other in zip(ours.get_weights(), stock.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


@only_fast
@pytest.mark.parametrize("shape", [(4, 5, 6, 3), (1, 2, 1, 7), (2, 1, 1, 3), (1, 1, 1, 3)])
@pytest.mark.parametrize("options", [{}, {"center": False}, {"scale": False}, {"axis": 3}], ids=str)
def test_training_equals_keras(shape, options, noise, gradients, fast_calls, max_difference):
    ours, stock = pair(shape, momentum=0.7, **options)
    # Images that differ: two that are nearly equal would measure rounding alone.
    x = noise(*shape) + 2 * np.arange(shape[0], dtype="float32").reshape(-1, 1, 1, 1)
    direction = noise(*shape, seed=1)
    result = gradients(ours, x, direction)
    assert len(fast_calls) == 1
    assert max_difference(result, gradients(stock, x, direction)) <= 1e-5
    assert_same_weights(ours, stock)


@only_fast
def test_the_moving_variance_has_no_bessel_correction(noise, as_array):
    x = noise(1, 3, 2, 3)
    layer = BatchNormalization(momentum=0.0)
    layer(x, training=True)
    np.testing.assert_allclose(as_array(layer.moving_variance), x.var((0, 1, 2)), rtol=1e-5)


@only_fast
def test_gradients_equal_finite_differences(noise, gradients, as_array):
    x, direction = noise(2, 2, 2, 2), noise(2, 2, 2, 2, seed=1)
    layer, _ = pair(x.shape)
    _, (gradient, _, _) = gradients(layer, x, direction)
    gamma, beta = (weight.astype("float64") for weight in layer.get_weights()[:2])

    def loss(x):
        normal = (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + layer.epsilon)
        return ((normal * gamma + beta) * direction).sum()

    step, expected = 1e-5, np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        nudge = np.zeros(x.shape)
        nudge[index] = step
        expected[index] = (loss(x + nudge) - loss(x - nudge)) / (2 * step)
    np.testing.assert_allclose(as_array(gradient), expected, atol=1e-4)


@only_fast
def test_statistics_far_from_zero(noise, as_array):
    """Sums of squares lose digits where the mean is large, but for what the moving mean takes."""
    x = noise(8, 16, 16, 3).astype("float64") + np.array([0.0, 30.0, 1000.0])
    layer, _ = pair(x.shape, momentum=0.0)
    for relative in (1.0, 1e-4):  # the first batch moves the mean, the second is exact
        layer(x.astype("float32"), training=True)
        found = as_array(layer.moving_variance)
        np.testing.assert_allclose(found[:2], x.var((0, 1, 2))[:2], rtol=1e-3)
        np.testing.assert_allclose(found, x.var((0, 1, 2)), rtol=relative)


@pytest.mark.parametrize(
    ("policy", "tolerance"), [("mixed_bfloat16", 2**-6), ("mixed_float16", 2**-9)]
)
def test_half_precision_training_equals_keras_to_its_precision(
    policy, tolerance, noise, fast_calls, as_array
):
    ours, stock = pair((4, 6, 6, 3), dtype=policy)
    x = noise(4, 6, 6, 3)
    y, expected = ours(x, training=True), stock(x, training=True)
    assert len(fast_calls) == FAST
    assert y.dtype == expected.dtype
    # One unit in the last place of the largest output, which is below 8.
    np.testing.assert_allclose(as_array(y), as_array(expected), atol=4 * tolerance)
    assert_same_weights(ours, stock, tolerance=1e-3)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((8, 5), {}),
        ((4, 6, 3), {}),
        ((2, 3, 4, 4, 3), {}),
        ((4, 3, 5, 6), {"axis": 1}),
        ((4, 5, 6, 3), {"renorm": True}),
        pytest.param((4, 5, 6, 3), {"epsilon": 1e-6}, marks=only_tensorflow),
        pytest.param((4, 5, 6, 3), {"dtype": "float64"}, marks=only_tensorflow),
    ],
    ids=str,
)
def test_what_the_fast_paths_cannot_do_is_keras_own(
    shape, options, noise, fast_calls, max_difference
):
    ours, stock = pair(shape, **options)
    x = noise(*shape)
    assert max_difference(ours(x, training=True), stock(x, training=True)) == 0.0
    assert fast_calls == []
    assert_same_weights(ours, stock, tolerance=0.0)


def test_a_mask_is_keras_own(noise, fast_calls, max_difference):
    ours, stock = pair((4, 2, 3, 3))
    x, mask = noise(4, 2, 3, 3), np.random.default_rng(0).random((4, 2, 3)) > 0.5
    expected = stock(x, training=True, mask=mask)
    assert max_difference(ours(x, training=True, mask=mask), expected) == 0.0
    assert fast_calls == []
    assert_same_weights(ours, stock, tolerance=0.0)


@only_tensorflow
def test_synchronized_statistics_are_keras_own(noise, fast_calls):
    import tensorflow as tf

    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        layer = BatchNormalization(synchronized=True)
        layer(noise(4, 2, 3, 3), training=True)
    assert fast_calls == []


# Frozen in training, and at inference.
MOVING = pytest.mark.parametrize(
    ("training", "trainable"), [(True, False), (False, True), (False, False), (None, True)]
)


@MOVING
def test_frozen_and_inference_use_the_moving_statistics(
    training, trainable, noise, fast_calls, max_difference
):
    ours, stock = pair((4, 5, 6, 3))
    ours.trainable = stock.trainable = trainable
    x = noise(4, 5, 6, 3)
    assert max_difference(ours(x, training=training), stock(x, training=training)) <= 1e-6
    assert len(fast_calls) == TENSORFLOW
    assert_same_weights(ours, stock, tolerance=0.0)


@only_tensorflow
@MOVING
@pytest.mark.parametrize("options", [{}, {"center": False}, {"scale": False}], ids=str)
def test_gradients_with_moving_statistics(training, trainable, options, noise, gradients):
    ours, stock = pair((4, 5, 6, 3), **options)
    ours.trainable = stock.trainable = trainable
    x, direction = noise(4, 5, 6, 3), noise(4, 5, 6, 3, seed=1)
    y, expected = gradients(stock, x, direction, training)
    found, ours_of = gradients(ours, x, direction, training)
    # The scale's are sums over the images, near 30.
    for one, other in zip((found, *ours_of), (y, *expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    assert_same_weights(ours, stock, tolerance=0.0)


@pytest.mark.parametrize(
    ("policy", "tolerance"), [("mixed_bfloat16", 2**-6), ("mixed_float16", 2**-9)]
)
def test_half_precision_with_moving_statistics(policy, tolerance, noise, as_array):
    ours, stock = pair((4, 6, 6, 3), dtype=policy)
    x = noise(4, 6, 6, 3)
    y, expected = ours(x, training=False), stock(x, training=False)
    assert y.dtype == expected.dtype
    np.testing.assert_allclose(as_array(y), as_array(expected), atol=4 * tolerance)


@pytest.mark.slow
def test_twenty_steps_of_training_give_keras_loss_curve(noise):
    x, y = noise(32, 8, 8, 3), noise(32, 2, seed=1)

    def losses(norm):
        keras.utils.set_random_seed(5)
        layers = []
        for filters in (8, 16):
            conv = keras.layers.Conv2D(filters, 3, use_bias=False)
            layers += [conv, norm(momentum=0.9), keras.layers.ReLU()]
        pooled = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
        model = keras.Sequential([keras.Input(x.shape[1:]), *layers, *pooled])
        model.compile(keras.optimizers.SGD(0.05), "mse", jit_compile=False)
        history = model.fit(x, y, batch_size=32, epochs=20, shuffle=False, verbose=0)
        return history.history["loss"]

    ours, stock = losses(BatchNormalization), losses(keras.layers.BatchNormalization)
    assert ours[-1] < 0.95 * ours[0]
    np.testing.assert_allclose(ours, stock, rtol=1e-3)


@only_tensorflow
def test_xla_gives_the_same_statistics(noise):
    import tensorflow as tf

    x = noise(3, 4, 5, 2)
    compiled, stock = pair(x.shape, momentum=0.5)
    y = tf.function(lambda x: compiled(x, training=True), jit_compile=True)(x)
    np.testing.assert_allclose(y, stock(x, training=True), atol=1e-5)
    assert_same_weights(compiled, stock)


@only_tensorflow
def test_a_single_image_is_left_to_kernels_that_are_fast_for_it(max_difference):
    import tensorflow as tf

    ours, stock = pair((None, 4, 4, 3))
    function = tf.function(ours)
    for size, merged in ((1, False), (2, True), (None, True)):
        traced = function.get_concrete_function(tf.TensorSpec((size, 4, 4, 3)))
        kinds = {one.type for one in traced.graph.get_operations()}
        assert ("FusedBatchNormV3" in kinds) == merged
    x = tf.random.stateless_normal((1, 4, 4, 3), (1, 2))
    assert max_difference(function(x), stock(x)) < 1e-5
