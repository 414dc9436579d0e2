"""Two devices of one process train what one trains, on TensorFlow and on JAX."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

import keras_bottleneck as kb

PROGRAM = Path(__file__).with_name("two_devices.py")


@pytest.fixture(scope="module")
def told():
    """What the program says, which needs a process of its own: devices are made only once."""
    if keras.config.backend() == "torch":
        pytest.skip("there is no distribution with PyTorch")
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    command = [sys.executable, str(PROGRAM)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_two_devices_train_what_one_trains(told):
    assert told["devices"] == 2
    assert told["weights"] <= 1e-5
    assert told["history"] <= 1e-5


@pytest.mark.slow
def test_nothing_of_the_devices_is_left_in_the_model(told):
    assert told["synchronized"] == [False, False, False]


@pytest.mark.slow
def test_models_and_batches_that_do_not_fit_are_refused(told):
    assert told["outside"].startswith("`model` must be made inside of `with job:`")
    assert told["batch"].startswith("`batch_size` must be a multiple of the 2 devices")


@pytest.mark.slow
@pytest.mark.skipif(
    keras.config.backend() != "tensorflow", reason="batch norms see the whole batch on JAX"
)
def test_batch_norms_that_see_one_device_are_refused(told):
    assert "set `synchronized=True` on them. Received: model='stock'" in told["stock"]


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="TensorFlow's own refusal")
def test_many_machines_need_jax():
    with pytest.raises(ValueError, match="MultiWorkerMirroredStrategy.*Received: processes=2"):
        kb.distribution.initialize("10.0.0.1:1234", processes=2, process=0)


@pytest.mark.parametrize("wrong", [{"step_timeout_s": 0}, {"seed": -1}, {"heartbeat_timeout_s": 0}])
def test_wrong_arguments(wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` must be"):
        kb.distribution.initialize(**wrong)


def test_fit_needs_its_block():
    with pytest.raises(RuntimeError, match="inside of `with job:`"):
        kb.distribution.ALONE.fit(kb.training.Recipe(), None, None)
