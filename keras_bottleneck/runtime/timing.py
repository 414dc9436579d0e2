"""How long an opened artifact takes for a sample."""

import time
from itertools import cycle, islice

import numpy as np

from keras_bottleneck.runtime.predictor import Predictor

WARM_UP_RUNS = 3


def timed(
    predictor: Predictor, inputs: np.ndarray, least_runs: int = 1
) -> tuple[np.ndarray, list[float]]:
    """Run every sample, in batches of the artifact's fixed size, one by one where it takes any.

    Args:
        predictor: From `runtime.load`.
        inputs: Model inputs (N, height, width, channels), at least one.
        least_runs: Where there are fewer batches, they are run again until there were so many.

    Returns:
        The outputs (N, ...), and the seconds for one sample in each run.

    Example:
        >>> outputs, seconds = timed(load("model.tflite"), images)  # doctest: +SKIP
    """
    size = predictor.input_shape[0] or 1
    batches = np.split(inputs, range(size, len(inputs), size))
    for _ in range(WARM_UP_RUNS):
        predictor.run(batches[0])
    outputs: list[np.ndarray] = []
    seconds: list[float] = []
    for batch in islice(cycle(batches), max(len(batches), least_runs)):
        start = time.perf_counter()
        found = predictor.run(batch)
        seconds.append((time.perf_counter() - start) / size)
        if len(outputs) < len(batches):
            outputs.append(found)
    return np.concatenate(outputs), seconds
