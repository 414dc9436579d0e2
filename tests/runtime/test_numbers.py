"""A model of one number for each image: what it gives is the number."""

import json

import numpy as np
import pytest

import keras_bottleneck as kb
from keras_bottleneck.cli import main

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow", reason="files are written by TensorFlow")

SIDE = 8


def network(activation):
    image = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(image))
    return keras.Model(image, keras.layers.Dense(1, activation)(x), name="years")


def saved(activation, folder, labels=None):
    model = network(activation)
    preprocessing = kb.Preprocessing(SIDE, mean=(0.5,), std=(0.1,))
    path = kb.export.save_model(model, folder / "years.keras", labels, preprocessing)
    return model, path


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3)).astype(np.uint8)


def test_a_linear_output_without_labels_is_a_number(tmp_path, pictures):
    model, path = saved(None, tmp_path)
    predictor = kb.runtime.load(path)
    batch = predictor.preprocessing.normalize(pictures)
    wanted = [float(one) for one in model.predict(batch, verbose=0)[:, 0]]
    assert isinstance(predictor(pictures[0]), float)
    np.testing.assert_allclose(predictor(pictures[0]), wanted[0], rtol=1e-5)
    np.testing.assert_allclose(predictor(pictures), wanted, rtol=1e-5)
    np.testing.assert_allclose(predictor(list(pictures), top=1), wanted, rtol=1e-5)


@pytest.mark.slow
def test_files_give_the_number_too(tmp_path, pictures):
    model, path = saved(None, tmp_path)
    preprocessing = kb.runtime.load(path).preprocessing
    kb.export_model(model, tmp_path / "out", preprocessing=preprocessing)
    quantized = kb.quantize(model, preprocessing.normalize(np.repeat(pictures, 40, 0)))
    kb.export_model(quantized, tmp_path / "out", preprocessing=preprocessing)
    wanted = model.predict(preprocessing.normalize(pictures), verbose=0)[:, 0]
    for name in json.loads((tmp_path / "out" / "manifest.json").read_text())["artifacts"]:
        found = kb.runtime.load(tmp_path / "out" / name)(pictures)
        tolerance = 0.05 * np.ptp(wanted) + 0.05 if "int8" in name else 1e-4
        np.testing.assert_allclose(found, wanted, atol=tolerance)
    assert kb.export.write_snippets(tmp_path / "out")


@pytest.mark.parametrize(
    ("activation", "labels", "names"),
    [(None, ("young", "old"), {"young", "old"}), ("sigmoid", None, {"0", "1"})],
)
def test_two_classes_stay_classes(tmp_path, pictures, activation, labels, names):
    _, path = saved(activation, tmp_path, labels)
    found = kb.runtime.load(path)(pictures[0])
    assert {name for name, _ in found} == names
    assert sum(one for _, one in found) == pytest.approx(1.0)


def test_the_command_prints_it(tmp_path, pictures, capsys):
    from PIL import Image

    _, path = saved(None, tmp_path)
    Image.fromarray(pictures[0]).save(tmp_path / "a.png")
    words = ["predict", str(path), str(tmp_path / "a.png")]
    wanted = kb.runtime.load(path)(pictures[0])
    assert main([*words, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["predictions"]
    assert found == {"image": str(tmp_path / "a.png"), "value": pytest.approx(wanted, rel=1e-5)}
    assert main(words) == 0
    assert f"{wanted:.4g}"[:5] in capsys.readouterr().out
