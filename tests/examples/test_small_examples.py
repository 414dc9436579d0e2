import json
import re

import numpy as np
import pytest
from PIL import Image

import keras_bottleneck as kb

pytest.importorskip("tensorflow", reason="the examples use tf.data and export")


@pytest.mark.slow
@pytest.mark.full
def test_own_functional_model(run, capsys):
    run("own_functional_model", "--epochs", 1)
    printed = capsys.readouterr().out
    assert "val_accuracy" in printed
    before, after = (int(word) for word in printed.split("\n")[-2].split() if word.isdigit())
    assert after < before


@pytest.mark.slow
def test_export_and_predict(run, tmp_path, capsys):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    model = kb.ResNet("basic", (1,), filters=(8,), stem="cifar", classes=2, name="pets")
    saved = kb.export.save_model(
        model, tmp_path / "pets.keras", ("cat", "dog"), kb.Preprocessing((32, 32))
    )
    with pytest.warns(UserWarning, match="noise"):
        run("export_and_predict", saved, tmp_path / "photo.png", "--out", tmp_path / "files")
    printed = capsys.readouterr().out
    table = [line for line in printed.splitlines() if "cat" in line or "dog" in line]
    assert [line.split()[1] for line in table] == [
        "pets.keras",
        "pets_saved_model",
        "pets.tflite",
        "pets_float16.tflite",
        "pets_dynamic.tflite",
        "pets.onnx",
    ]
    probabilities = [float(line.split()[5]) for line in table]
    np.testing.assert_allclose(probabilities[:3], probabilities[0], atol=1e-4)


@pytest.mark.slow
def test_residual_digits(run, tmp_path, capsys):
    run("residual_digits", "--out", tmp_path)
    printed = capsys.readouterr().out
    (accuracy,) = re.findall(r"^([\d.]+)% of 359 digits right in float", printed, re.MULTILINE)
    assert float(accuracy) > 95
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert set(manifest["artifacts"]) == {
        "residual_digits_int8.tflite",
        "residual_digits_int8.onnx",
    }
