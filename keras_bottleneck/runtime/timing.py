"""How long an opened artifact takes for a sample."""

import time
from itertools import cycle, islice
from typing import Any

import numpy as np

from keras_bottleneck.runtime.ports import Feed, joined
from keras_bottleneck.runtime.predictor import Predictor

WARM_UP_RUNS = 3


def timed(
    predictor: Predictor, inputs: np.ndarray | Feed, least_runs: int = 1
) -> tuple[Any, list[float]]:
    """Run every sample, in batches of the artifact's fixed size, one by one where it takes any.

    Args:
        predictor: From `runtime.load`.
        inputs: Model inputs (N, height, width, channels), at least one; a `Feed` for several.
        least_runs: Where there are fewer batches, they are run again until there were so many.

    Returns:
        The outputs as `Predictor.run` returns them, and the seconds for one sample in each run.

    Example:
        >>> outputs, seconds = timed(load("model.tflite"), images)  # doctest: +SKIP
    """
    size = predictor.input_shape[0] or 1
    feed = inputs if isinstance(inputs, Feed) else Feed({predictor.input_name: inputs})
    batches = list(feed.parts(size))
    for _ in range(WARM_UP_RUNS):
        predictor.run_feed(batches[0])
    outputs: list[Feed] = []
    seconds: list[float] = []
    for batch in islice(cycle(batches), max(len(batches), least_runs)):
        start = time.perf_counter()
        found = predictor.run_feed(batch)
        seconds.append((time.perf_counter() - start) / size)
        if len(outputs) < len(batches):
            outputs.append(found)
    return joined(outputs).single, seconds
