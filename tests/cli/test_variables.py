"""What the command sets for TensorFlow, and that a run goes on with what it began with."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from keras_bottleneck import processor
from keras_bottleneck.cli import variables
from keras_bottleneck.doctor import KNOWN_BAD, ONEDNN_LEFT_OFF, ONEDNN_TURNED_ON, Environment

LEVEL, ONEDNN = "TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS"


@pytest.fixture
def old_processor(monkeypatch):
    """An x86 processor with AVX2 and without VNNI."""
    monkeypatch.setattr(processor.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(processor, "flags", lambda: frozenset({"avx", "avx2", "fma"}))


def test_onednn_is_turned_on_where_tensorflow_leaves_it_off(old_processor):
    assert variables.wanted(["train"], {}) == {LEVEL: "2", ONEDNN: "1"}
    assert variables.wanted(["train"], {LEVEL: "0"}) == {ONEDNN: "1"}
    assert variables.wanted(["train"], {ONEDNN: "0"}) == {LEVEL: "2"}
    assert variables.wanted([], {}) == {LEVEL: "2", ONEDNN: "1"}


@pytest.mark.parametrize("known", [frozenset({"avx2", "avx_vnni"}), None])
def test_it_is_left_alone_elsewhere(monkeypatch, known):
    monkeypatch.setattr(processor, "flags", lambda: known)
    assert variables.wanted(["train"], {}) == {LEVEL: "2"}


@pytest.mark.parametrize("began", ["1", "0", None])
def test_a_run_goes_on_with_what_it_began_with(old_processor, run, tmp_path, began):
    config = json.loads((run / "config.json").read_text())
    assert ONEDNN in config["variables"]
    config["variables"] = {ONEDNN: began}
    (tmp_path / "config.json").write_text(json.dumps(config))
    for words in (["--resume", str(tmp_path)], [f"--resume={tmp_path}"]):
        for given in ({LEVEL: "2"}, {LEVEL: "2", ONEDNN: "1"}, {LEVEL: "2", ONEDNN: "0"}):
            assert variables.wanted(["train", *words], given) == {ONEDNN: began}


def test_a_run_of_an_older_version_goes_on_as_it_began(old_processor, run, tmp_path):
    config = json.loads((run / "config.json").read_text())
    del config["variables"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    words = ["train", "--resume", str(tmp_path)]
    assert variables.wanted(words, {LEVEL: "2"}) == {}
    assert variables.wanted(["train", "--resume", str(tmp_path / "none")], {LEVEL: "2"}) == {}


def test_doctor_tells(old_processor, monkeypatch):
    monkeypatch.setenv(ONEDNN, "1")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    here = Environment.here()
    assert ONEDNN_TURNED_ON in KNOWN_BAD
    assert ONEDNN_TURNED_ON.found(here)
    assert not ONEDNN_LEFT_OFF.found(here)
    monkeypatch.delenv(ONEDNN)
    assert not ONEDNN_TURNED_ON.found(Environment.here())
    assert ONEDNN_LEFT_OFF.found(Environment.here())


def test_imports_leave_the_environment_alone():
    code = """
import os
before = dict(os.environ)
import keras_bottleneck.cli.app
from keras_bottleneck.cli import main
assert main(["--version"]) == 0
assert dict(os.environ) == before
"""
    environment = {name: value for name, value in os.environ.items() if name != LEVEL}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def trained(words, stop_after=None, **variables):
    """The command `words` in a process of its own, which Ctrl-C may stop after so many epochs."""
    environment = {name: value for name, value in os.environ.items() if name != ONEDNN}
    process = subprocess.Popen(
        [sys.executable, "-m", "keras_bottleneck.cli", "train", *map(str, words)],
        env={**environment, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    folder = words[-1]
    while stop_after and len(rows(folder)) < stop_after and process.poll() is None:
        time.sleep(0.05)
    if stop_after:
        process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == (130 if stop_after else 0), err


def rows(folder):
    """The rows of metrics.csv, but for the seconds."""
    path = folder / "metrics.csv"
    found = list(csv.DictReader(path.open())) if path.is_file() else []
    return [{name: value for name, value in row.items() if name != "seconds"} for row in found]


@pytest.mark.slow
@pytest.mark.full
def test_a_resumed_run_is_that_of_the_setting_it_began_with(photos, tmp_path):
    """Without oneDNN, which TensorFlow turns on by itself on most processors, to the last bit."""
    words = ["--data", photos, "--model", "ResNet20", "--image-size", "16", "--epochs", "4"]
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    trained([*words, "--out", whole], **{ONEDNN: "0"})
    trained([*words, "--out", stopped], stop_after=1, **{ONEDNN: "0"})
    assert json.loads((stopped / "config.json").read_text())["variables"] == {ONEDNN: "0"}
    trained(["--resume", stopped])
    assert rows(stopped) == rows(whole)
    ends = [keras.models.load_model(one / "last.keras").get_weights() for one in (whole, stopped)]
    for one, other in zip(*ends, strict=True):
        np.testing.assert_array_equal(one, other)
