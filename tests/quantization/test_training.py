"""Quantization-aware training is `fit`: gradients, grids, precisions, files, recipes."""

import keras
import numpy as np
import pytest

import keras_bottleneck as kb
from keras_bottleneck import graph, keras_private
from keras_bottleneck.export.auditing import overflow
from keras_bottleneck.quantization.fake_quant import fake_quant, fake_quant_kernel
from keras_bottleneck.quantization.kernels import QuantizedKernel
from keras_bottleneck.quantization.quantizers import FakeQuantize
from keras_bottleneck.training import Recipe

datasets = pytest.importorskip("sklearn.datasets", reason="the digits come with scikit-learn")

BACKEND = keras.config.backend()
MIXED = {
    "mixed_bfloat16": lambda: keras.optimizers.Adam(1e-3),
    "mixed_float16": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(1e-3)),
}
# XLA takes longer to compile these networks than TensorFlow to train them.
FAST = {"jit_compile": BACKEND != "tensorflow"}
CROSSENTROPY = {
    None: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    "softmax": keras.losses.SparseCategoricalCrossentropy(),
}


@pytest.fixture(scope="module")
def digits():
    bunch = datasets.load_digits()
    return (bunch.images[..., None] / 16).astype("float32"), bunch.target.astype("int32")


def train(model, digits, optimizer=None, epochs=1):
    optimizer = optimizer or keras.optimizers.Adam(1e-3)
    model.compile(optimizer, CROSSENTROPY[None], **FAST)
    return model.fit(*digits, batch_size=64, epochs=epochs, verbose=0, shuffle=False).history


@pytest.fixture(scope="module")
def network(digits):
    """A residual network that is half trained: what it has to learn is left to the tests."""
    keras.utils.set_random_seed(0)
    arguments = {"filters": (8, 16), "stem": "cifar", "classes": 10, "input_shape": (8, 8, 1)}
    model = kb.ResNet("basic", (1, 1), classifier_activation=None, name="digits", **arguments)
    train(model, digits, keras.optimizers.Adam(5e-3), epochs=2)
    return model


@pytest.fixture(scope="module")
def calibrated(network, digits):
    return kb.quantize(network, digits[0][:200])


@pytest.fixture
def quantized(calibrated):
    """A copy for one test."""
    return graph.flatten(calibrated)


def loss_of(model, digits):
    return float(CROSSENTROPY[None](digits[1], model(digits[0])))


def numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def of_kind(model, kind):
    return [layer for layer in keras_private.sublayers(model) if isinstance(layer, kind)]


def ranges(model):
    """What `quantize` has measured: everything but kernels, biases and switches."""
    found = [numpy(x) for one in of_kind(model, FakeQuantize) for x in (one.low, one.high)]
    return found + [numpy(layer.reach) for layer in of_kind(model, QuantizedKernel)]


def gradient(function, value):
    """The gradient of the sum of `function` at `value`, on the backend in use."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        value = tf.constant(value)
        with tf.GradientTape() as tape:
            tape.watch(value)
            total = tf.reduce_sum(function(value))
        return tape.gradient(total, value).numpy()
    if BACKEND == "jax":
        import jax

        return np.asarray(jax.grad(lambda x: function(x).sum())(value))
    pytest.skip("the test takes gradients on TensorFlow and JAX")


def assert_on_grids(model, images):
    """Each activation and each kernel holds the values of an int8 tensor."""
    rounded = [c for c in keras_private.calls(model) if isinstance(c.operation, FakeQuantize)]
    tensors = keras.Model(model.inputs[0], [call.outputs[0] for call in rounded])(images)
    for call, values in zip(rounded, tensors, strict=True):
        low, high = float(call.operation.low), float(call.operation.high)
        codes = numpy(values).astype("float64") * (255 / (high - low))
        assert np.abs(codes - np.round(codes)).max() < 1e-3, call.operation.name
        assert np.round(codes).max() - np.round(codes).min() <= 255, call.operation.name
    for layer in of_kind(model, QuantizedKernel):
        codes = numpy(layer.quantized_kernel()) / numpy(layer.kernel_step)
        assert np.abs(codes - np.round(codes)).max() < 1e-3, layer.name
        assert np.abs(codes).max() < 127.001, layer.name


@pytest.mark.slow
def test_fit_lowers_the_loss_and_stays_on_the_grids(quantized, digits):
    before, kernel = loss_of(quantized, digits), numpy(quantized.trainable_variables[0])
    measured = ranges(quantized)
    train(quantized, digits)
    assert loss_of(quantized, digits) < 0.8 * before
    assert np.abs(numpy(quantized.trainable_variables[0]) - kernel).max() > 1e-4
    assert_on_grids(quantized, digits[0][:50])
    # Nothing has let the ranges move.
    for old, new in zip(measured, ranges(quantized), strict=True):
        np.testing.assert_array_equal(new, old)


def test_the_gradient_passes_inside_of_a_range_and_stops_outside():
    x = np.array([-5.0, -1.01, -0.99, -0.3, 0.0, 0.31, 1.99, 2.01, 5.0], "float32")
    factors = np.arange(1, 10, dtype="float32")
    found = gradient(lambda x: factors * fake_quant(x, -1.0, 2.0), x)
    np.testing.assert_array_equal(found, factors * (np.abs(x - 0.5) < 1.5))


@pytest.mark.parametrize("axis", [0, 1, 2, 3, None])
def test_the_gradient_of_a_kernel_knows_the_reach_of_each_channel(axis, noise):
    kernel = noise(3, 3, 3, 3)
    reach = np.array([0.5, 1.0, 2.0], "float32") if axis is not None else np.float32(1.0)
    shape = [3 if one == axis else 1 for one in range(4)]
    found = gradient(lambda k: fake_quant_kernel(k, reach, axis), kernel)
    inside = np.abs(kernel) <= (reach.reshape(shape) if axis is not None else reach)
    assert 0.2 < inside.mean() < 0.8
    np.testing.assert_array_equal(found, inside)


def test_every_weight_gets_a_gradient(quantized, digits):
    before = [numpy(variable) for variable in quantized.trainable_variables]
    train(quantized, (digits[0][:64], digits[1][:64]), keras.optimizers.SGD(0.1))
    for old, variable in zip(before, quantized.trainable_variables, strict=True):
        assert np.abs(numpy(variable) - old).max() > 0, variable.path


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.parametrize(
    "policy", ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.slow)]
)
def test_mixed_precision(quantized, digits, policy):
    half = graph.cast(quantized, policy)
    before = loss_of(half, digits)
    assert np.isfinite(train(half, digits, MIXED[policy]())["loss"]).all()
    assert loss_of(half, digits) < 0.8 * before
    # 16 bits are for products and sums alone.
    assert {variable.dtype for variable in half.variables} <= {"float32", "int64", "uint32"}
    for layer in of_kind(half, QuantizedKernel):
        assert keras.backend.standardize_dtype(layer.quantized_kernel().dtype) == "float32"
    assert {layer.compute_dtype for layer in half.layers if "conv" in layer.name} == {policy[6:]}
    full = graph.cast(half)
    assert full.layers[-1].compute_dtype == "float32"
    assert_on_grids(full, digits[0][:50])
    assert loss_of(full, digits) == pytest.approx(loss_of(half, digits), rel=0.1)


@pytest.mark.slow
def test_a_saved_model_is_the_same_in_the_middle_of_training(quantized, digits, tmp_path):
    train(quantized, digits)
    for layer in of_kind(quantized, (FakeQuantize, QuantizedKernel)):
        layer.moving.assign(1.0)
    quantized.save(tmp_path / "half_way.keras")
    loaded = keras.models.load_model(tmp_path / "half_way.keras")
    np.testing.assert_array_equal(numpy(loaded(digits[0])), numpy(quantized(digits[0])))
    for one, other in zip(quantized.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(numpy(one), numpy(other), err_msg=one.path)
    slots = [model.optimizer.variables for model in (quantized, loaded)]
    assert len(slots[0]) > 2 * len(quantized.trainable_variables)
    for one, other in zip(*slots, strict=True):
        np.testing.assert_array_equal(numpy(one), numpy(other), err_msg=one.path)
    # And it goes on from there.
    images, labels = digits[0][:64], digits[1][:64]
    losses = [model.train_on_batch(images, labels) for model in (quantized, loaded)]
    assert float(losses[1]) == pytest.approx(float(losses[0]), rel=1e-6)
    for old, new in zip(ranges(quantized), ranges(loaded), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("activation", [None, "softmax"])
def test_recipe_reads_the_loss_off_the_last_layer(quantized, network, digits, activation):
    if activation:
        ended = keras.Model(network.input, keras.layers.Softmax()(network.output))
        quantized = kb.quantize(ended, digits[0][:200])
    recipe = Recipe(epochs=2, warmup_epochs=0, batch_size=64, label_smoothing=0.0)
    recipe.compile(quantized, 1)
    before = quantized.evaluate(*digits, verbose=0, return_dict=True)
    peer = CROSSENTROPY[activation](digits[1], quantized(digits[0]))
    assert before["loss"] == pytest.approx(float(peer), rel=1e-3)
    history = recipe.fit(quantized, digits, digits).history
    assert history["val_loss"][-1] < 0.8 * before["loss"]
    assert history["val_accuracy"][-1] >= before["accuracy"]


@pytest.mark.slow
def test_a_trained_model_becomes_int8_files(quantized, digits, tmp_path):
    pytest.importorskip("tensorflow", reason="export needs TensorFlow")
    if BACKEND != "tensorflow":
        pytest.skip("export needs the tensorflow backend")
    train(quantized, digits)
    report = kb.export_model(quantized, tmp_path / "files", verify=digits)
    assert {artifact.format for artifact in report.artifacts} == {"tflite_int8", "onnx_int8"}
    for artifact in report.artifacts:
        assert artifact.comparison.agreement >= 0.98
        assert artifact.comparison.accuracy == pytest.approx(report.keras_accuracy, abs=0.02)


def test_training_keeps_neighbouring_codes_from_overflowing(quantized, digits):
    schedule = kb.quantization.QuantizationSchedule(moving_epochs=1)
    quantized.compile(keras.optimizers.Adam(1e-2), CROSSENTROPY[None], **FAST)
    quantized.fit(*digits, batch_size=64, epochs=1, verbose=0, callbacks=[schedule])
    limited = [layer for layer in of_kind(quantized, QuantizedKernel) if layer.reduce_range]
    assert len(limited) == len(of_kind(quantized, QuantizedKernel)) == 7
    for layer in limited:
        kernel = numpy(layer.quantized_kernel())
        codes = np.rint(kernel / numpy(layer.kernel_step))
        assert not overflow(codes.reshape(-1, codes.shape[-1]).astype(int))
