import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tensorflow", reason="the example exports")

SCRIPT = Path(__file__).parents[2] / "examples" / "finetune_image_folder.py"


def load_script():
    spec = importlib.util.spec_from_file_location("finetune_image_folder", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_example_fine_tunes_and_exports(tmp_path):
    rng = np.random.default_rng(0)
    for name, level in (("dark", 40), ("light", 200)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(10):
            pixels = rng.integers(level - 40, level + 40, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{index}.png")
    output = tmp_path / "exported"
    options = ["--image-size", "32", "--epochs", "1", "--head-epochs", "1", "--stages", "1"]
    load_script().main([str(tmp_path / "photos"), "--output", str(output), *options])
    written = {path.suffix for path in output.iterdir()}
    assert {".tflite", ".onnx", ".json"} <= written
    assert any(path.name.endswith("_saved_model") for path in output.iterdir())
