"""The benchmarks run, take turns, and measure what they say."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from ..marks import some_full

FOLDER = Path(__file__).parents[2] / "benchmarks"
if not FOLDER.exists():
    pytest.skip("the benchmarks are only in a checkout", allow_module_level=True)
sys.path.insert(0, str(FOLDER))

from alone import alone  # noqa: E402
from turns import Contender, Event, Ratio, compete  # noqa: E402


def test_contenders_take_turns_in_changing_order():
    order = []
    contenders = [Contender(name, lambda name=name: order.append(name)) for name in "ab"]
    compete(contenders, rounds=3, warm_up=1)
    assert "".join(order) == "ab" + "ab" + "ba" + "ab"
    assert [len(one.seconds) for one in contenders] == [3, 3]


def test_ratios_are_of_the_same_round():
    """A machine that gets slower and slower does not change them."""
    times = {"cpu_seconds": [1.0] * 4}
    one = Contender("one", print, items=1, seconds=[1.0, 2.0, 4.0, 8.0], **times)
    other = Contender("other", print, items=2, seconds=[4.0, 8.0, 16.0, 40.0], **times)
    ratio = Ratio.of(one, other)
    assert (ratio.median, ratio.low) == (2.0, 2.0)
    assert ratio.high > 2
    event = Event("title", [one, other], {"third": "needs pip install third"})
    assert event.as_json()["first_is_times_as_fast_as"]["other"]["median"] == 2.0
    assert event.table().row_count == 3


def test_a_process_is_measured_without_the_one_that_starts_it():
    ballast = np.ones(2**27)  # 1 GiB, touched
    small = alone("-c", "print('first'); print('second')")
    assert small.printed == "first\nsecond"
    assert small.peak_mib < 200
    large = alone("-c", "block = bytearray(2**28); block[::4096] = b'1' * 2**16")
    assert large.peak_mib > small.peak_mib + 200
    assert ballast.nbytes == 2**30


def test_a_process_that_fails_says_why():
    with pytest.raises(RuntimeError, match="failed: ZeroDivisionError: division by zero"):
        alone("-c", "1 / 0")


RUNS = {
    "training.py": "--networks ResNet18 --sizes 32 --batch 2 --rounds 2",
    "accelerator.py": "--network ResNet18 --batch 1 --steps 1 --rounds 2"
    " --contenders keras_bottleneck",
    "inference.py": "--networks ResNet18 --size 32 --rounds 2 --threads 1",
    "build.py": "--networks MobileNetV2 --rounds 1 --only import construct load",
    "input_pipeline.py": "--images 8 --size 32 --batch 4 --rounds 2 --network ResNet18",
}
# Networks beside those of peers, compiled for each; in every format; in a process for each step.
LONG = ("training.py", "accelerator.py", "inference.py", "build.py")


@pytest.mark.slow
@pytest.mark.parametrize("script", some_full(RUNS, LONG))
@pytest.mark.full
def test_a_script_measures_and_writes(script, tmp_path):
    output = tmp_path / "figures.json"
    backend = keras.config.backend()
    if script == "accelerator.py":
        backend = pytest.importorskip("jax", reason="it measures the jax backend").__name__
    done = subprocess.run(
        [sys.executable, FOLDER / script, *RUNS[script].split(), "--output", output],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(output.read_text())
    assert figures["versions"]["keras-bottleneck"]
    for event in figures["events"]:
        assert event["title"] in done.stdout
        for one in event["contenders"]:
            assert all(seconds > 0 for seconds in one["seconds"])
        for ratio in event["first_is_times_as_fast_as"].values():
            assert ratio["low"] <= ratio["median"] <= ratio["high"]
