"""`train --distributed`: on two devices, and what it says where it cannot."""

import importlib.util
import subprocess
import sys

import keras
import pytest

from keras_bottleneck.cli import main

on_tensorflow = pytest.mark.skipif(
    keras.config.backend() != "tensorflow", reason="the TensorFlow backend is what this is about"
)
TRAIN = "train --data flowers --out run --model ResNet20 --image-size 8 --epochs 1 --distributed"
TWO_DEVICES = f"""
import sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
halves = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, halves)
from keras_bottleneck.cli import main
code = main("{TRAIN} --batch-size 8".split())
assert len(tf.config.list_logical_devices("CPU")) == 2
sys.exit(code)
"""


@pytest.mark.slow
@on_tensorflow
@pytest.mark.full
def test_two_devices_leave_a_whole_run(flowers):
    done = subprocess.run([sys.executable, "-c", TWO_DEVICES], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = {"README.md", "best.keras", "config.json", "last.keras", "metrics.csv"}
    names |= {"augmented.png", "curves.png"}
    assert {path.name for path in (flowers / "run").iterdir()} == names
    assert main(["train", "--resume", "run", "--distributed"]) == 0


@on_tensorflow
def test_many_processes_are_refused_on_tensorflow(flowers, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_DISTRIBUTION_JOB_ADDRESSES", "10.0.0.1:1234")
    monkeypatch.setenv("KERAS_DISTRIBUTION_NUM_PROCESSES", "2")
    monkeypatch.setenv("KERAS_DISTRIBUTION_PROCESS_ID", "0")
    assert main(TRAIN.split()) == 2
    assert "take the jax backend for several machines" in capsys.readouterr().err
    assert not (flowers / "run").exists()


@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is not None, reason="TensorFlow is installed"
)
def test_images_need_tensorflow_on_every_backend(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flowers").mkdir()
    assert main(TRAIN.split()) == 2
    assert "reads images with tf.data: pip install tensorflow" in capsys.readouterr().err
