"""The logits of whole networks: the simulation is as close to each runtime as they are."""

from itertools import combinations

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from . import networks, runtimes

pytestmark = pytest.mark.slow

FARTHER = 1.2
POINT = 0.01


def run(function, images):
    return np.concatenate([np.array(function(image[None])) for image in images])


@pytest.mark.full
@pytest.mark.parametrize("name", ["resnet20", "mobilenet_v2"])
def test_simulation_is_as_close_as_runtimes_are_to_each_other(name, tmp_path):
    case = networks.made(name, tmp_path)
    logits = {
        "simulation": case.model.predict(case.images, batch_size=20, verbose=0),
        "TFLite": run(runtimes.built_in(case.tflite), case.images),
        "XNNPACK": run(runtimes.xnnpack(case.tflite), case.images),
        "ONNX Runtime": run(runtimes.onnx_runtime(case.onnx), case.images),
    }
    shown = Table(title=f"{name}: logits of {len(case.images)} images")
    for column in ("", "", "mean", "99.9th percentile", "max", "top-1 agreement"):
        shown.add_column(column)
    found = {}
    for pair in combinations(logits, 2):
        one, other = (logits[each] for each in pair)
        difference = np.abs(one - other)
        agreement = np.mean(one.argmax(-1) == other.argmax(-1))
        found[pair] = difference.mean(), np.percentile(difference, 99.9), agreement
        numbers = (*found[pair][:2], difference.max(), agreement)
        shown.add_row(*pair, *(f"{number:.4f}" for number in numbers))
    Console(width=120).print(shown)

    between = [figures for pair, figures in found.items() if "simulation" not in pair]
    mean, percentile, agreement = zip(*between, strict=True)
    for pair, figures in found.items():
        if "simulation" in pair:
            assert figures[0] <= FARTHER * max(mean), pair
            assert figures[1] <= FARTHER * max(percentile), pair
            assert figures[2] >= min(agreement) - POINT, pair
