"""Predictors under many threads give the sequential answers, and keep no memory.

The full run is `KERAS_BOTTLENECK_PREDICTIONS=1000 pytest -m "slow or not slow" FILE`: so many
predictions in each of eight threads, and ten times as many for the memory.
"""

import gc
import os
import sys
import threading

import numpy as np
import pytest

from keras_bottleneck.runtime import load

PREDICTIONS = int(os.environ.get("KERAS_BOTTLENECK_PREDICTIONS", "200"))
THREADS = 8
FAST = ["tflite", "int8", "onnx"]
SLOW = [
    pytest.param("saved_model", marks=pytest.mark.slow),
    pytest.param("keras", marks=[pytest.mark.slow, pytest.mark.full]),
]
# What a prediction may leave behind: memory comes in pages of 4 KiB, and not in order.
BYTES_LEFT = 100


@pytest.fixture(scope="module")
def batches():
    """Sixteen batches of one to three images."""
    rng = np.random.default_rng(0)
    sizes = [(1 + index % 3, 12, 10, 3) for index in range(16)]
    return [rng.normal(size=size).astype("float32") for size in sizes]


@pytest.fixture
def predictor(request, artifacts, int8_file):
    return load(int8_file if request.param == "int8" else artifacts[request.param])


@pytest.mark.parametrize("predictor", [*FAST, *SLOW], indirect=True)
def test_threads_get_the_sequential_answers_bit_for_bit(predictor, batches, restless_threads):
    expected = [predictor.run(batch) for batch in batches]
    wrong, done = [], []
    ready = threading.Barrier(THREADS)

    def work(number):
        ready.wait()
        order = np.random.default_rng(number).integers(0, len(batches), PREDICTIONS)
        for index in order:
            if not np.array_equal(predictor.run(batches[index]), expected[index]):
                wrong.append((number, index))
        done.append(number)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(done) == list(range(THREADS))
    assert wrong == []


def resident():
    """Bytes of memory that this process holds."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("predictor", [*FAST, *SLOW], indirect=True)
def test_predictions_leave_no_memory_behind(predictor, batches):
    points = []
    for number in range(12 * PREDICTIONS):
        predictor.run(batches[number % len(batches)])
        if number >= 2 * PREDICTIONS and number % (2 * PREDICTIONS) == 0:
            gc.collect()
            points.append((number, resident()))
    numbers, sizes = np.array(points, float).T
    slope = np.polyfit(numbers, sizes, 1)[0]
    print(f"{slope:.1f} bytes a prediction")
    assert slope < BYTES_LEFT * max(1, 1000 / PREDICTIONS)
