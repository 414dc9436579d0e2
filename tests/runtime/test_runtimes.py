"""Every runtime gives the numbers of the Keras model that its file was made from."""

import threading

import numpy as np
import pytest

from keras_bottleneck.runtime import load
from keras_bottleneck.runtime.batching import in_batches
from keras_bottleneck.runtime.ports import Feed

KINDS = ["tflite", "onnx", "saved_model", "keras"]
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def batch(images, preprocessing):
    return np.stack([preprocessing(image) for image in images])


@pytest.fixture(scope="module")
def expected(bare, batch):
    import keras

    return np.asarray(keras.models.load_model(bare()["keras"])(batch))


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_are_those_of_the_keras_model(artifacts, kind, batch, expected):
    result = load(artifacts[kind]).run(batch)
    assert result.dtype == np.float32
    assert np.ptp(expected, axis=0).max() > 0.1
    assert np.abs(result - expected).max() <= TOLERANCE


@pytest.mark.parametrize("kind", KINDS)
def test_images_go_through_the_stored_preprocessing(artifacts, kind, images, expected):
    assert np.abs(load(artifacts[kind]).probabilities(images) - expected).max() <= TOLERANCE


@pytest.mark.parametrize("batch_size", [None, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_any_number_of_samples_fits_any_batch_size(bare, kind, batch_size, batch, expected):
    predictor = load(bare(batch_size=batch_size)[kind])
    assert predictor.input_shape == (batch_size, 12, 10, 3)
    for count in (5, 1, 4):
        result = predictor.run(batch[:count])
        assert result.shape == (count, 4)
        assert np.abs(result - expected[:count]).max() <= TOLERANCE


@pytest.mark.parametrize("kind", KINDS)
def test_names_and_shape_are_the_models(bare, kind):
    predictor = load(bare("logits")[kind])
    assert predictor.input_shape == (1, 12, 10, 3)
    assert predictor.input_name == "image"
    assert predictor.output_name == "logits"


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_threads_do_not_change_the_outputs(artifacts, kind, batch, expected):
    assert np.abs(load(artifacts[kind], threads=2).run(batch) - expected).max() <= TOLERANCE


@pytest.mark.parametrize("kind", ["saved_model", "keras"])
def test_threads_are_refused_where_they_are_global(artifacts, kind):
    with pytest.raises(ValueError, match="^`threads` must be None for a .* Received: threads=2"):
        load(artifacts[kind], threads=2)


@pytest.mark.parametrize("threads", [0, 1.5, True])
def test_wrong_threads(artifacts, threads):
    with pytest.raises(ValueError, match="^`threads` must be an integer"):
        load(artifacts["tflite"], threads=threads)


def test_int8_file_takes_and_gives_floats(int8_file, batch):
    """Bit for bit what a caller gets who quantizes and dequantizes by hand."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(int8_file))
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    assert source["dtype"] == target["dtype"] == np.int8
    result = load(int8_file).run(batch)
    for sample, outputs in zip(batch, result, strict=True):
        scale, zero = source["quantization"]
        steps = np.clip(np.round(sample / np.float32(scale)) + zero, -128, 127)
        interpreter.set_tensor(source["index"], steps.astype(np.int8)[None])
        interpreter.invoke()
        scale, zero = target["quantization"]
        integers = interpreter.get_tensor(target["index"])[0].astype(np.int32)
        np.testing.assert_array_equal(outputs, np.float32(integers - zero) * np.float32(scale))


def test_int8_file_is_near_the_float_one(int8_file, batch, expected):
    result = load(int8_file).run(batch)
    assert np.abs(result - expected).max() < 0.05
    np.testing.assert_array_equal(result.argmax(axis=1), expected.argmax(axis=1))


def test_out_of_range_inputs_saturate_in_int8(int8_file):
    """Values beyond the int8 range must not wrap around."""
    predictor = load(int8_file)
    far, edge = (np.full((1, 12, 10, 3), value, np.float32) for value in (1e6, 1e3))
    np.testing.assert_array_equal(predictor.run(far), predictor.run(edge))


def test_tflite_survives_many_threads(artifacts, batch, expected, restless_threads):
    predictor = load(artifacts["tflite"])
    results = {}

    def work(index):
        results[index] = [predictor.run(batch[index : index + 1]) for _ in range(300)]

    workers = [threading.Thread(target=work, args=(index,)) for index in range(len(batch))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(results) == list(range(len(batch)))
    for index, outputs in results.items():
        assert np.abs(np.concatenate(outputs) - expected[index]).max() <= TOLERANCE


@pytest.mark.parametrize(("samples", "size"), [(1, 1), (5, 1), (5, 2), (4, 2), (3, 8), (7, None)])
def test_in_batches_keeps_order_and_size(samples, size):
    seen = []

    def run(piece):
        seen.append(piece.samples)
        return Feed({"double": 2 * piece["x"], "sum": piece["x"].sum(1) + piece["y"]})

    x, y = np.arange(samples * 3, dtype=np.float32).reshape(samples, 3), np.arange(samples)
    found = in_batches(run, Feed({"x": x, "y": y}), size)
    np.testing.assert_array_equal(found["double"], 2 * x)
    np.testing.assert_array_equal(found["sum"], x.sum(1) + y)
    assert set(seen) == {size or samples}
