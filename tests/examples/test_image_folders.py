"""The examples that train on a folder of images."""

import numpy as np
import pytest
from PIL import Image

from ..marks import some_full

pytest.importorskip("tensorflow", reason="the examples export")

SHORT = {
    "train_image_folder": ("--image-size", 16, "--batch-size", 8, "--epochs", 2),
    "finetune_image_folder": ("--image-size", 32, "--epochs", 1, "--head-epochs", 1, "--stages", 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", some_full(SHORT, ["train_image_folder"]))
@pytest.mark.full
def test_it_trains_and_exports(name, run, tmp_path):
    rng = np.random.default_rng(0)
    for label, level in (("dark", 40), ("light", 200)):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for index in range(10):
            pixels = rng.integers(level - 40, level + 40, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{index}.png")
    output = tmp_path / "exported"
    run(name, tmp_path / "photos", "--output", output, *SHORT[name])
    written = {path.suffix for path in output.iterdir()}
    assert {".tflite", ".onnx", ".json"} <= written
    assert any(path.name.endswith("_saved_model") for path in output.iterdir())
