"""`train` in a process of its own: interrupted, resumed, and finished."""

import contextlib
import csv
import io
import json
import shlex
import shutil
import signal
import subprocess
import sys
import time

import keras
import pytest

import keras_bottleneck as kb
from keras_bottleneck.cli import main

pytest.importorskip("tensorflow", reason="the command reads images")
pytestmark = pytest.mark.slow

EPOCHS = 12


def rows_of(folder):
    path = folder / "metrics.csv"
    return list(csv.DictReader(path.open())) if path.is_file() else []


@pytest.fixture(scope="module")
def stopped(photos, tmp_path_factory):
    """The folder of a run that Ctrl-C has stopped after two epochs or three, and its process."""
    folder = tmp_path_factory.mktemp("train") / "run"
    words = ["train", "--data", str(photos), "--out", str(folder), "--model", "ResNet20"]
    words += ["--image-size", "16", "--epochs", str(EPOCHS), "--optimizer", "sgd", "--ema", "0.9"]
    process = subprocess.Popen(
        [sys.executable, "-m", "keras_bottleneck.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # In background jobs of shells it is ignored, which children inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while len(rows_of(folder)) < 2 and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    return folder, process.returncode, out, err


@pytest.fixture(scope="module")
def finished(stopped, tmp_path_factory):
    """A copy of that folder after `--resume`, its rows from before, and what the command told."""
    folder = tmp_path_factory.mktemp("resumed") / "run"
    shutil.copytree(stopped[0], folder)
    before, told = rows_of(folder), io.StringIO()
    with contextlib.redirect_stdout(told):
        assert main(["train", "--resume", str(folder), "--json"]) == 0
    return folder, before, json.loads(told.getvalue())


def test_ctrl_c_keeps_the_epochs_that_are_done(stopped):
    folder, code, out, err = stopped
    assert code == 130, err
    assert "Traceback" not in err
    assert "interrupted: stopped by Ctrl-C" in err
    assert f"Next: keras-bottleneck train --resume {folder}" in out
    assert 2 <= len(rows_of(folder)) < EPOCHS
    for name in ("best.keras", "last.keras"):
        assert kb.runtime.load(folder / name).labels == ("one", "two", "zero")
    assert not list(folder.glob(".*")), "scratch files are left"


@pytest.mark.full
def test_resume_goes_on_where_it_was(stopped, finished):
    folder, before, told = finished
    model = keras.models.load_model(stopped[0] / "last.keras")
    steps = 4
    assert int(model.optimizer.iterations) == steps * len(before)
    after = rows_of(folder)
    # An epoch may have ended between metrics.csv and its checkpoint: it takes other seconds then.
    for row in (*before, *after):
        row.pop("seconds")
    assert after[: len(before)] == before
    assert [int(row["epoch"]) for row in after] == list(range(1, EPOCHS + 1))
    schedule = kb.training.Recipe(epochs=EPOCHS).schedule(steps)
    for row in after:
        expected = float(schedule(steps * int(row["epoch"])))
        assert float(row["learning_rate"]) == pytest.approx(expected, abs=1e-9)
    best = min(after, key=lambda row: float(row["val_loss"]))
    assert told["best"]["epoch"] == int(best["epoch"])
    # The network that was kept is the one of that row, averaged weights and all.
    seen = kb.analysis.evaluate(folder / "best.keras", kb.runs.Run.open(folder).data)
    assert seen.top1 == pytest.approx(float(best["val_accuracy"]), abs=1e-6)
    files = {"README.md", "best.keras", "config.json", "last.keras", "metrics.csv"}
    pictures = {"augmented.png", "curves.png"}
    assert {path.name for path in folder.iterdir()} == files | pictures


def test_the_card_tells_how_to_do_it_again(finished):
    folder, _, _ = finished
    card = (folder / "README.md").read_text()
    assert "Trained on 108 images" in card
    assert "`one`, `two`, `zero`" in card
    line = card.split("```bash\n")[1].split("\n")[0]
    _, verb, *options = shlex.split(line)
    given = dict(zip(options[::2], options[1::2], strict=True))
    assert verb == "train"
    assert given["--model"] == "ResNet20"
    assert given["--ema"] == "0.9"
    assert given["--epochs"] == str(EPOCHS)


def test_a_finished_run_is_not_trained_again(finished, capsys):
    folder, _, _ = finished
    written = (folder / "last.keras").stat().st_mtime_ns
    assert main(["train", "--resume", str(folder)]) == 0
    assert "Epoch" not in capsys.readouterr().out
    assert (folder / "last.keras").stat().st_mtime_ns == written
