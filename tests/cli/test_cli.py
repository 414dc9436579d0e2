"""The command as a user meets it: what it writes, prints and hands on to the next command."""

import json
import os
import pty
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

import keras_bottleneck as kb
from keras_bottleneck.cli import main, sources
from keras_bottleneck.cli.verbs import VERBS

pytest.importorskip("tensorflow", reason="the command reads images and exports")


def words_of_next(printed):
    """The command behind "Next:"."""
    program, *words = shlex.split(printed.split("Next: ")[1])
    assert program == "keras-bottleneck"
    return words


@pytest.mark.slow
def test_the_way_from_a_run_to_an_audited_int8_file(run, photos, tmp_path, capsys):
    out = tmp_path / "int8"
    assert main(["quantize", str(run), "--out", str(out), "--formats", "tflite_int8"]) == 0
    printed = capsys.readouterr().out
    assert "kernels quantized on 108 images" in printed
    assert "compared with Keras on 27 samples" in printed
    follow = words_of_next(printed)
    assert follow == ["audit", str(out / "small_int8.tflite")]
    assert main(follow) == 0
    assert "no problem found" in capsys.readouterr().out
    assert main(["evaluate", follow[1], "--data", str(photos), "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert seen["images"] == 27
    assert seen["top1"] > 0.8
    listed = json.loads((out / "manifest.json").read_text())["artifacts"]
    assert listed["small_int8.tflite"]["labels"] == ["one", "two", "zero"]


def test_export_takes_all_from_the_run(run, exported, photos):
    predictor = kb.runtime.load(exported / "small.tflite")
    assert predictor.labels == ("one", "two", "zero")
    assert predictor.preprocessing.image_size == (8, 8)
    report = kb.analysis.evaluate(exported / "small.tflite", photos)
    best = kb.runs.Run.open(run).best_row()
    assert report.top1 == pytest.approx(best["val_accuracy"], abs=1e-6)


def test_predict_prints_a_table_and_json(exported, photos, capsys):
    file = str(exported / "small.tflite")
    images = [str(photos / "one" / "00.png"), str(photos / "zero" / "07.png")]
    assert main(["predict", file, *images, "--top", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["predictions"]
    assert [one["image"] for one in found] == images
    expected = kb.runtime.load(file)(images, top=2)
    got = [[(row["label"], row["probability"]) for row in one["classes"]] for one in found]
    assert got == expected
    assert main(["predict", file, *images, "--top", "1"]) == 0
    printed = capsys.readouterr().out
    assert expected[0][0][0] in printed
    assert words_of_next(printed)[0] == "evaluate"


def test_list_knows_every_network(capsys):
    assert main(["list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["networks"]}
    assert set(rows) == {*kb.models.VARIANTS, "MobileNetV2", "CSPDarknet"}
    assert rows["ResNet50"]["checkpoints"][:3] == ["imagenet", "timm_imagenet", "keras_imagenet"]
    assert rows["ResNet50"]["published"][1] == {
        "name": "keras_imagenet",
        "publisher": "keras.applications",
        "top1": 74.9,
        "image_size": 224,
        "alpha": 1.0,
        "hash": "md5:2cb95161c43110f7111970584f804107",
        "needs": None,
    }
    needs = {one["name"]: one["needs"] for one in rows["ResNet50"]["published"]}
    assert (needs["timm_imagenet"], needs["imagenet_v2"]) == (None, "torch")
    assert rows["ResNet20"] == {
        "name": "ResNet20",
        "title": "ResNet-20 for small images",
        "parameters": 269722,
        "image_size": 32,
        "checkpoints": [],
        "published": [],
    }


@pytest.mark.slow
def test_summary_shows_costs_and_what_a_device_lacks(run, capsys):
    assert main(["summary", "ResNet20", "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert (seen["trainable_parameters"], seen["macs"]) == (269722, 40551040)
    assert main(["summary", "ResNet20", "--target", "edgetpu"]) == 1
    printed = capsys.readouterr().out
    assert "problem: it pads channels" in printed
    assert main(["summary", str(run), "--target", "xnnpack", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["check"]["problems"] == []


def test_evaluate_of_a_run_needs_no_data(run, capsys):
    assert main(["evaluate", str(run)]) == 0
    printed = capsys.readouterr().out
    assert "the validation part of photos" in printed
    assert words_of_next(printed) == ["quantize", str(run)]


def test_audit_fails_for_a_file_that_will_not_run_everywhere(tmp_path, capsys):
    model = kb.ResNet("basic", (1,), filters=(8,), stem="cifar", classes=3, name="small")
    images = np.zeros((2, 32, 32, 3), np.float32)
    kb.export_model(model, tmp_path / "any", ["tflite"], verify=images, batch_size=None)
    assert main(["audit", str(tmp_path / "any" / "small.tflite")]) == 1
    assert "not fixed" in capsys.readouterr().out
    assert main(["audit", str(tmp_path / "any" / "small.tflite"), "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)["problems"]) == 2


@pytest.mark.slow
def test_a_download_that_fails_is_a_failed_job(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    words = ["finetune", "MobileNetV2", "--data", str(photos), "--out", str(tmp_path / "new")]
    assert main([*words, "--image-size", "32"]) == 1
    printed = capsys.readouterr()
    address = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2"
    assert printed.err.startswith(f"error: {address}")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_help_with_an_example(verb, capsys):
    assert main([verb, "--help"]) == 0
    printed = " ".join(re.sub(r"[│╭╮╰╯─]", " ", capsys.readouterr().out).split())
    assert f"Example: keras-bottleneck {verb}" in printed
    assert "--json" in printed


def test_help_and_no_words_list_verbs_and_exit_codes(capsys):
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    for verb in VERBS:
        assert f"│ {verb} " in printed
    assert "130 interrupted" in " ".join(printed.split())
    assert main([]) == 0
    assert capsys.readouterr().out == printed


def test_help_list_completion_and_version_import_neither_keras_nor_numpy():
    code = """
import json, os, sys
from keras_bottleneck.cli import main, sources

for words in json.loads(sys.argv[1]):
    assert main(words) == 0
print(main(["--help"]), [name for name in ("keras", "tensorflow", "numpy") if name in sys.modules])
os.environ["_KERAS_BOTTLENECK_COMPLETE"] = "complete_bash"
for words in json.loads(sys.argv[2]):
    os.environ.update(COMP_WORDS=" ".join(words), COMP_CWORD=str(len(words) - 1))
    assert main([]) == 0
print([name for name in ("keras", "tensorflow", "numpy") if name in sys.modules])
"""
    shown = [["--version"], ["list"], *([verb, "--help"] for verb in VERBS)]
    lines = ["", "tr", "train --model Res", "export run --formats tf", "summary run --target et"]
    typed = [["keras-bottleneck", *line.split(" ")] for line in lines]
    command = [sys.executable, "-c", code, json.dumps(shown), json.dumps(typed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "0 []" in done.stdout.splitlines()
    assert done.stdout.splitlines()[0] == kb.__version__
    assert done.stdout.splitlines()[-1] == "[]"


def test_names_that_are_read_from_the_source_are_those_of_the_tables():
    assert sources.keys("export/formats.py", "FORMATS") == list(kb.export.FORMATS)
    assert sources.keys("analysis/targets.py", "TARGETS") == list(kb.analysis.TARGETS)
    with pytest.raises(LookupError, match="assigns no dictionary"):
        sources.keys("export/formats.py", "Format")


def shell(words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "keras_bottleneck.cli", *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def completed(words):
    """What bash offers for the last of `words`."""
    done = shell(
        [],
        _KERAS_BOTTLENECK_COMPLETE="complete_bash",
        COMP_WORDS=" ".join(["keras-bottleneck", *words]),
        COMP_CWORD=str(len(words)),
    )
    return done.stdout.split()


@pytest.mark.slow
@pytest.mark.full
def test_the_shell_completes_verbs_models_and_formats():
    assert completed(["qu"]) == ["quantize"]
    assert completed(["train", "--model", "Mobile"]) == ["MobileNetV2"]
    assert completed(["export", "run", "--formats", "tflite,on"]) == [
        "tflite,onnx",
        "tflite,onnx_int8",
    ]
    assert completed(["summary", "run", "--target", "eth"]) == ["ethos-u"]


def in_terminal(words, columns, **environment):
    """What a program prints that believes itself in a terminal."""
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "keras_bottleneck.cli", *words],
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), **environment},
        stdout=child,
        stderr=subprocess.DEVNULL,
    )
    os.close(child)
    printed = b""
    while chunk := _read(parent):
        printed += chunk
    assert process.wait() == 0
    return printed.decode().replace("\r\n", "\n")


def _read(parent):
    try:
        return os.read(parent, 1 << 16)
    except OSError:  # Linux's way to say that the other end is closed
        return b""


@pytest.mark.slow
def test_terminals_pipes_and_no_color(exported):
    words = ["audit", str(exported / "small.tflite")]
    for columns in (80, 120):
        shown = in_terminal(words, columns)
        assert "\x1b[" in shown
        plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
        table = plain.split("\nNext: ")[0]
        assert max(map(len, table.splitlines())) <= columns
    colourless = re.sub(r"\x1b\[[0-9;]*m", "", in_terminal(words, 80, NO_COLOR="1"))
    assert not re.findall(r"\x1b\[3\dm", in_terminal(words, 80, NO_COLOR="1"))
    assert "small.tflite" in colourless
    assert "\x1b" not in shell(words).stdout


@pytest.mark.slow
def test_the_demo_trains_exports_and_verifies(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 0
    printed = capsys.readouterr().out
    keras_accuracy = float(printed.split("(Keras model)")[1].split("%")[0].split()[-1])
    assert keras_accuracy >= 97.0
    for name in ("tflite", "onnx", "keras"):
        assert (tmp_path / "demo" / f"digits.{name}").is_file()
