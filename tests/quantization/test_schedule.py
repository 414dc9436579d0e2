"""`QuantizationSchedule`: ranges move when it says so, in the compiled step too."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_bottleneck.quantization import quantize
from keras_bottleneck.quantization.distillation import distill
from keras_bottleneck.quantization.kernels import QuantizedKernel
from keras_bottleneck.quantization.quantizers import FakeQuantize
from keras_bottleneck.quantization.schedule import QuantizationSchedule

IMAGES = np.random.default_rng(0).normal(size=(128, 6, 6, 2)).astype("float32")
LABELS = np.arange(128) % 3
FAST = {"jit_compile": keras.config.backend() != "tensorflow"}


@pytest.fixture
def network():
    image = keras.Input((6, 6, 2), name="image")
    x = layers.Conv2D(4, 3, activation="relu")(image)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(x))
    return keras.Model(image, layers.Dense(3)(x))


@pytest.fixture
def quantized(network):
    return quantize(network, IMAGES)


def state(model, names):
    layers = [one for one in model.layers if isinstance(one, (FakeQuantize, QuantizedKernel))]
    found = [getattr(layer, name, None) for layer in layers for name in names]
    return np.hstack([np.ravel(keras.ops.convert_to_numpy(x)) for x in found if x is not None])


def fit(model, student, epochs, *callbacks, images=2 * IMAGES, batch_size=32):
    """Trains on images twice as bright as those of the calibration; the ranges after each epoch."""
    seen = [state(student, ("low", "high", "reach"))]

    def look(epoch, logs):
        seen.append(state(student, ("low", "high", "reach")))

    look = keras.callbacks.LambdaCallback(on_epoch_end=look)
    arguments = {"epochs": epochs, "batch_size": batch_size, "verbose": 0, "shuffle": False}
    model.fit(images, LABELS, callbacks=[*callbacks, look], **arguments)
    return [np.abs(after - before).max() for before, after in zip(seen, seen[1:], strict=False)]


def compiled(model, loss=None):
    loss = loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01), loss, **FAST)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [0, 2])
def test_ranges_move_and_are_then_held(quantized, epochs):
    moved = fit(compiled(quantized), quantized, 4, QuantizationSchedule(epochs))
    assert all(step > 1e-3 for step in moved[:epochs])
    assert moved[epochs:] == [0.0] * (4 - epochs)
    assert not state(quantized, ("moving",)).any()


def test_without_the_callback_ranges_are_held(quantized):
    assert fit(compiled(quantized), quantized, 2) == [0.0, 0.0]


def test_all_ranges_move_to_the_end_where_there_are_no_epochs_left(quantized):
    before = state(quantized, ("high", "reach"))
    assert min(fit(compiled(quantized), quantized, 2, QuantizationSchedule(9))) > 1e-3
    assert (state(quantized, ("high", "reach")) != before).all()
    assert not state(quantized, ("moving",)).any()


def test_the_step_is_not_traced_again(quantized):
    traces, counts = [], []

    def loss(y_true, y_pred):
        traces.append(y_pred)
        return keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)

    count = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: counts.append(len(traces)))
    fit(compiled(quantized, loss), quantized, 4, QuantizationSchedule(2), count)
    assert len(set(counts)) == 1


def test_a_range_takes_its_part_of_every_step(quantized):
    layer = quantized.get_layer("input_quant")
    low, high = float(layer.low), float(layer.high)
    fit(compiled(quantized), quantized, 3, QuantizationSchedule(2), batch_size=len(IMAGES))
    kept = layer.momentum**2
    assert float(layer.low) == pytest.approx(kept * low + (1 - kept) * 2 * IMAGES.min(), rel=1e-5)
    assert float(layer.high) == pytest.approx(kept * high + (1 - kept) * 2 * IMAGES.max(), rel=1e-5)


def test_a_moving_reach_is_the_largest_weight_or_has_room_for_neighbours(quantized):
    fit(compiled(quantized), quantized, 1, QuantizationSchedule(1))
    # A step that changes nothing brings the reach up to the last weights.
    quantized.optimizer.learning_rate = 0.0
    fit(quantized, quantized, 1, QuantizationSchedule(1))
    for layer in quantized.layers:
        if isinstance(layer, QuantizedKernel):
            kernel = np.abs(keras.ops.convert_to_numpy(layer.kernel))
            axes = tuple(range(kernel.ndim - 1)) if len(layer.reach.shape) else None
            expected = kernel.max(axes)
            if layer.reduce_range and axes:
                rows = keras.ops.convert_to_numpy(layer.kernel).reshape(-1, kernel.shape[-1])
                rows = np.pad(rows, ((0, len(rows) % 2), (0, 0)))
                sums = np.abs(rows[0::2] + rows[1::2]).max(0)
                # 127 codes for the largest weight, 128 for the largest sum.
                expected = np.maximum(expected, sums * 127 / 128)
            np.testing.assert_allclose(layer.reach, expected, rtol=1e-6)


def test_validation_moves_nothing(quantized):
    compiled(quantized).optimizer.learning_rate = 0.0
    for layer in quantized.layers:
        if isinstance(layer, (FakeQuantize, QuantizedKernel)):
            layer.moving.assign(1.0)
    before = state(quantized, ("low", "high", "reach"))
    quantized.evaluate(2 * IMAGES, LABELS, verbose=0)
    quantized.predict(2 * IMAGES, verbose=0)
    np.testing.assert_array_equal(state(quantized, ("low", "high", "reach")), before)


def test_a_student_of_distillation(quantized, network):
    distiller = compiled(distill(quantized, network))
    moved = fit(distiller, quantized, 3, QuantizationSchedule(1))
    assert moved[0] > 1e-3
    assert moved[1:] == [0.0, 0.0]


def test_a_float_model_is_refused(network):
    with pytest.raises(ValueError, match="^`QuantizationSchedule` must be .*Received: model"):
        compiled(network).fit(IMAGES, LABELS, verbose=0, callbacks=[QuantizationSchedule()])


@pytest.mark.parametrize("wrong", [-1, 0.5, True, "1", None])
def test_wrong_epochs_are_refused(wrong):
    with pytest.raises(ValueError, match="^`moving_epochs` must be an integer .*Received"):
        QuantizationSchedule(wrong)
