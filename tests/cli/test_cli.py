"""The command as a user meets it: exit codes, one sentence for a wrong call, files at the end."""

import json
import shlex
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import keras_bottleneck as kb
from keras_bottleneck.cli import main

pytest.importorskip("tensorflow", reason="the command exports")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "photos"
    rng = np.random.default_rng(0)
    for name, level in (("dark", 40), ("light", 200)):
        (folder / name).mkdir(parents=True)
        for index in range(10):
            pixels = rng.integers(level - 40, level + 40, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def trained(photos):
    out = photos.parent / "run"
    arguments = ["--model", "MobileNetV2", "--image-size", "32", "--epochs", "1"]
    assert main(["train", "--data", str(photos), "--out", str(out), *arguments]) == 0
    return out / "mobilenet_v2.keras"


def test_train_saves_labels_and_preprocessing(trained):
    predictor = kb.runtime.load(trained)
    assert predictor.labels == ("dark", "light")
    assert predictor.preprocessing.image_size == (32, 32)


def test_export_takes_labels_and_preprocessing_from_the_file(trained, photos, capsys):
    out = photos.parent / "files"
    arguments = ["export", str(trained), "--out", str(out), "--data", str(photos)]
    assert main([*arguments, "--format", "saved_model,tflite"]) == 0
    printed = capsys.readouterr().out
    assert "mobilenet_v2.tflite" in printed
    assert "compared with Keras on 4 samples" in printed
    follow = shlex.split(printed.split("Next: ")[1])
    assert main(follow[1:]) == 0
    label, _ = kb.runtime.load(out / "mobilenet_v2.tflite")(photos / "dark" / "0.png", top=1)[0]
    assert label in ("dark", "light")
    listed = json.loads((out / "manifest.json").read_text())["artifacts"]
    assert sorted(listed) == ["mobilenet_v2.tflite", "mobilenet_v2_saved_model"]


def test_audit_fails_for_a_file_that_will_not_run_everywhere(tmp_path, capsys):
    model = kb.ResNet("basic", (1,), filters=(8,), stem="cifar", classes=3, name="small")
    images = np.zeros((2, 32, 32, 3), np.float32)
    kb.export_model(model, tmp_path / "one", ["tflite"], verify=images)
    kb.export_model(model, tmp_path / "any", ["tflite"], verify=images, batch_size=None)
    assert main(["audit", str(tmp_path / "one" / "small.tflite")]) == 0
    assert "no problem found" in capsys.readouterr().out
    assert main(["audit", str(tmp_path / "any" / "small.tflite")]) == 1
    assert "not fixed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["train", "--data", "nowhere"], "path"),
        (["train", "--data", "PHOTOS", "--model", "ResNet52"], "model"),
        (["train", "--data", "PHOTOS", "--epochs", "0"], "epochs"),
        (["train", "--data", "PHOTOS", "--image-size", "0"], "image_size"),
        (["train", "--data", "PHOTOS", "--augment", "flap"], "augment"),
        (["train", "--data", "PHOTOS", "--mixed-precision", "half"], "mixed_precision"),
        (["export", "missing.keras", "--out", "files"], "path"),
        (["export", "model.h5", "--out", "files"], "path"),
        (["export", "KERAS", "--out", "files", "--format", "coreml"], "formats"),
        (["export", "KERAS", "--out", "PHOTOS/dark/0.png"], "directory"),
        (["train", "--data", "PHOTOS", "--out", "PHOTOS/dark/0.png"], "out"),
        (["demo", "--out", "PHOTOS/dark/0.png"], "out"),
        (["audit", "missing.tflite"], "path"),
        (["audit", "PHOTOS/dark/0.png"], "path"),
    ],
)
def test_a_wrong_call_is_one_sentence(arguments, named, trained, photos, capsys):
    filled = [
        one.replace("PHOTOS", str(photos)).replace("KERAS", str(trained)) for one in arguments
    ]
    assert main(filled) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith(f"error: `{named}`"), message
    assert "Received: " in message


@pytest.mark.parametrize("arguments", [["trian"], ["train"], ["export", "--flag"]])
def test_a_call_that_does_not_parse_exits_with_2(arguments, capsys):
    assert main(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_help_lists_the_verbs():
    done = subprocess.run(
        [sys.executable, "-m", "keras_bottleneck.cli", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    for verb in ("demo", "train", "export", "audit"):
        assert verb in done.stdout


@pytest.mark.slow
def test_the_demo_trains_exports_and_verifies(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 0
    printed = capsys.readouterr().out
    keras_accuracy = float(printed.split("(Keras model)")[1].split("%")[0].split()[-1])
    assert keras_accuracy >= 97.0
    for name in ("tflite", "onnx", "keras"):
        assert (tmp_path / "demo" / f"digits.{name}").is_file()
