"""What the command sets for TensorFlow, and that a run goes on with what it began with."""

import json
import os
import subprocess
import sys

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
