"""Every verb on every backend of Keras: one folder of images, one run, from `train` to `report`."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from keras_bottleneck.cli.app import VERBS
from keras_bottleneck.cli.backend import ON_TENSORFLOW

pytest.importorskip("tensorflow", reason="the command reads images")
pytestmark = pytest.mark.slow

PACKAGES = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}
RUN, TUNED = "run", "tuned"
TRAINING = ("--data", "flowers", "--epochs", "1", "--batch-size", "16", "--augment", "")
# In one process, which is where most of the time would go otherwise.
HERE = [
    ("list",),
    ("doctor", "--no-trials"),
    ("summary", "ResNet20"),
    ("train", *TRAINING, "--out", RUN, "--model", "ResNet20", "--image-size", "16"),
    ("train", "--resume", RUN),
    ("finetune", RUN, *TRAINING, "--out", TUNED, "--head-epochs", "1", "--stages", "1"),
    ("finetune", "--resume", TUNED),
    ("evaluate", RUN),
    ("predict", RUN, "flowers/rose/0.jpg", "--top", "1"),
    ("report", RUN, "--no-sensitivity"),
]
# Each in a process of its own, as each may become another one.
ON_ITS_OWN = [
    ("quantize", RUN, "--images", "24", "--formats", "tflite_int8", "--allow-float"),
    ("export", RUN, "--formats", "tflite"),
    ("benchmark", RUN, "--formats", "tflite", "--images", "4", "--out", "bench"),
    ("demo", "--epochs", "1", "--out", "demo"),
]
AUDITED = ("audit", f"{RUN}/exported/resnet20.tflite")

MANY = """
import contextlib, io, json, sys
from keras_bottleneck.cli import main

codes = []
for words in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        codes.append([main(words), out.getvalue()])
    print(words, codes[-1][0], file=sys.stderr)
print(json.dumps(codes))
"""


def started(backend, *words, hidden=""):
    """A process with Keras on `backend`; `hidden` is a package that it does not find."""
    code = "" if not hidden else f"import sys; sys.modules[{hidden!r}] = None\n"
    return subprocess.run(
        [sys.executable, *words],
        env={
            **os.environ,
            "KERAS_BACKEND": backend,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        },
        capture_output=True,
        text=True,
        check=False,
        input=code,
    )


@pytest.mark.parametrize("backend", PACKAGES)
def test_every_verb(backend, flowers):
    if importlib.util.find_spec(PACKAGES[backend]) is None:
        pytest.skip(f"{PACKAGES[backend]} is not installed")
    assert {words[0] for words in (*HERE, *ON_ITS_OWN, AUDITED)} == set(VERBS)
    done = started(backend, "-c", MANY, json.dumps(HERE))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert [code for code, _ in found] == [0] * len(HERE), done.stderr
    assert "files: README.md, best.keras" in found[3][1]
    config = json.loads((flowers / RUN / "config.json").read_text())
    assert config["classes"] == ["daisy", "rose", "tulip"]
    for words in (*ON_ITS_OWN, AUDITED):
        done = started(backend, "-m", "keras_bottleneck.cli", *words)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        notes = re.findall("^note: .*$", done.stderr, re.MULTILINE)
        moved = backend != "tensorflow" and words[0] in ON_TENSORFLOW
        note = f"note: {words[0]} takes the TensorFlow backend, not {backend}"
        assert notes == ([note] if moved else [])
    assert (flowers / "demo" / "manifest.json").is_file()


def test_what_needs_tensorflow_says_so_where_it_is_not(monkeypatch, capsys):
    from keras_bottleneck.cli import backend

    monkeypatch.setattr("keras.config.backend", lambda: "jax")
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    for verb in ON_TENSORFLOW:
        assert backend.elsewhere([verb, "run"]) == 2
        said = capsys.readouterr().err
        assert said == (
            f"error: `{verb}` needs TensorFlow, which is not installed: pip install tensorflow\n"
        )
    assert backend.elsewhere(["export", "--help"]) is None
    assert backend.elsewhere(["train", "--data", "flowers"]) is None
    assert backend.elsewhere([]) is None
