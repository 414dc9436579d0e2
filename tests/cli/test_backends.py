"""Every verb on every backend of Keras: one folder of images, one run, from `train` to `report`."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from keras_bottleneck.cli.backend import ON_TENSORFLOW
from keras_bottleneck.cli.verbs import VERBS

from ..marks import some_full

pytest.importorskip("tensorflow", reason="the command reads images")
pytestmark = pytest.mark.slow

BACKENDS = ("tensorflow", "jax", "torch")
RUN, TUNED = "run", "tuned"
TRAINING = ("--data", "photos", "--epochs", "1", "--augment", "")
# In one process, which is where most of the time would go otherwise.
TOGETHER = [
    ("list",),
    ("doctor", "--no-trials"),
    ("summary", "ResNet20"),
    ("train", *TRAINING, "--out", RUN, "--model", "ResNet20", "--image-size", "16"),
    ("train", "--resume", RUN),
    ("finetune", RUN, *TRAINING, "--out", TUNED, "--head-epochs", "1", "--stages", "1"),
    ("finetune", "--resume", TUNED),
    ("evaluate", RUN),
    ("predict", RUN, "photos/one/00.png", "--top", "1"),
    ("report", RUN, "--no-sensitivity"),
]
# How the lines of the command on stderr begin, and what no line of it holds anywhere.
OWN = ("code ", "note: ", "warning: ")
FOREIGN = r"(?i)cuinit|cpu_feature_guard|onednn custom|absl|retracing|^INFO:|^[IWEF]\d{4} "
# In a process of its own each, which may have to be started again.
APART = [
    ("quantize", RUN, "--images", "24", "--formats", "tflite_int8"),
    ("export", RUN, "--formats", "tflite", "--out", "files"),
    ("audit", "files/resnet20.tflite"),
]
LONG = [
    ("benchmark", RUN, "--formats", "tflite", "--images", "4", "--out", "bench"),
    ("demo", "--epochs", "1", "--out", "demo"),
]

MANY = """
import json, sys
from keras_bottleneck.cli import main, noise, variables

variables.put([])
noise.leave_out()
for words in json.loads(sys.argv[1]):
    print("code", main(words), *words, file=sys.stderr)
"""


def started(backend, folder, *words):
    """A process in `folder` with Keras on `backend`, when it has ended without a foreign line."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        assert [line for line in done.stderr.splitlines() if not line.startswith(OWN)] == []
    assert re.findall(FOREIGN, f"{done.stdout}\n{done.stderr}", re.MULTILINE) == []
    return done


@pytest.fixture(scope="module", params=some_full(BACKENDS, ("tensorflow", "jax")))
def worked(request, photos, tmp_path_factory):
    """A backend, a folder with a run on it, and the process that made it."""
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"`{request.param}` is not installed")
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "photos").symlink_to(photos)
    done = started(request.param, folder, "-c", MANY, json.dumps(TOGETHER))
    return request.param, folder, done


def test_what_runs_on_each_backend(worked):
    _, folder, done = worked
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    codes = re.findall("^code (.*)$", done.stderr, re.MULTILINE)
    assert codes == [" ".join(("0", *words)) for words in TOGETHER]
    for run in (RUN, TUNED):
        assert json.loads((folder / run / "config.json").read_text())["classes"][0] == "one"
        assert (folder / run / "README.md").is_file()


@pytest.mark.timeout(2400)  # up to six processes, most of which import two backends
@pytest.mark.parametrize(
    "commands",
    [pytest.param(APART, id="short"), pytest.param(LONG, id="long", marks=pytest.mark.full)],
)
@pytest.mark.full
def test_what_takes_tensorflow(worked, commands):
    backend, folder, _ = worked
    for words in commands:
        done = started(backend, folder, "-m", "keras_bottleneck.cli", *words)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        notes = re.findall("^note: .*$", done.stderr, re.MULTILINE)
        moved = backend != "tensorflow" and words[0] in ON_TENSORFLOW
        note = f"note: {words[0]} takes the TensorFlow backend, not {backend}"
        assert notes == ([note] if moved else [])
    made = "demo" if commands is LONG else f"{RUN}/exported"
    assert (folder / made / "manifest.json").is_file()


def test_no_verb_is_forgotten():
    assert {words[0] for words in (*TOGETHER, *APART, *LONG)} == set(VERBS)
    assert set(ON_TENSORFLOW) <= {words[0] for words in (*APART, *LONG)}


def test_what_needs_tensorflow_says_so_where_it_is_not(monkeypatch, capsys):
    from keras_bottleneck.cli import backend

    monkeypatch.setenv("KERAS_BACKEND", "jax")
    look = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "tensorflow" else look(name, *rest),
    )
    for verb in ON_TENSORFLOW:
        assert backend.elsewhere([verb, "run"]) == 2
        said = capsys.readouterr().err
        assert said == (
            f"error: `{verb}` needs TensorFlow, which is not installed: pip install tensorflow\n"
        )
    assert backend.elsewhere(["export", "--help"]) is None
    assert backend.elsewhere(["train", "--data", "flowers"]) is None
    assert backend.elsewhere([]) is None
