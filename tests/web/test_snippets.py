"""The JavaScript programs that `write_snippets` writes, run by Node.js."""

import json

import numpy as np
import pytest
from PIL import Image

import keras_bottleneck as kb

from .photos import sample_photos

pytest.importorskip("tensorflow", reason="export needs TensorFlow")

CROP = {"resize": "crop", "crop_fraction": 0.875}
CASES = {
    "logits": kb.Preprocessing(
        (24, 24), mean=(0.5, 0.4, 0.3), color_order="bgr", interpolation="bicubic", **CROP
    ),
    "grey": kb.Preprocessing((20, 30), 1, std=(0.5,)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_javascript_gives_pythons_probabilities(node, packages, example, tmp_path, name):
    prepare = CASES[name]
    model = kb.ResNet(
        "basic",
        (1,),
        filters=(8,),
        stem="cifar",
        classes=4,
        input_shape=prepare.input_shape,
        classifier_activation=None if name == "logits" else "softmax",
        name=name,
    )
    labels = ("ant", 'a "bee"', "dög", "back\\slash")
    with pytest.warns(UserWarning, match="noise"):
        kb.export_model(model, tmp_path, ["onnx"], labels=labels, preprocessing=prepare)
    kb.export.write_snippets(tmp_path)
    (tmp_path / "node_modules").symlink_to(example / "node_modules")
    predictor = kb.runtime.load(tmp_path / f"{name}.onnx")
    pagoda, flower = sample_photos()
    for photo in (pagoda, flower.crop((101, 50, 258, 351)), Image.new("RGB", (5, 90), "teal")):
        (tmp_path / "photo.rgba").write_bytes(photo.convert("RGBA").tobytes())
        printed = node("snippet.mjs", tmp_path, name, photo.width, photo.height)
        found = [(one["label"], one["probability"]) for one in json.loads(printed)]
        expected = predictor(photo)
        assert [label for label, _ in found] == [label for label, _ in expected]
        np.testing.assert_allclose([p for _, p in found], [p for _, p in expected], atol=1e-4)
