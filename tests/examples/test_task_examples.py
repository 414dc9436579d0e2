"""The examples of backbones for other tasks, trained for less than the figures that
examples/README.md states."""

import importlib.util
import re
from pathlib import Path

import pytest

import keras_bottleneck as kb

pytest.importorskip("tensorflow", reason="the examples export")
pytest.importorskip("sklearn", reason="the examples read its scans of digits")
pytest.importorskip("matplotlib", reason="an example draws")

EXAMPLES = Path(__file__).parents[2] / "examples"
pytestmark = pytest.mark.slow


def run(name, *arguments):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main([str(argument) for argument in arguments])


def figures(printed, pattern):
    """The numbers of the only line that `pattern` matches."""
    (found,) = re.findall(f"^{pattern}$", printed, re.MULTILINE)
    return [float(one) for one in ([found] if isinstance(found, str) else found)]


def check_files(folder, name):
    for ending in ("tflite", "onnx"):
        assert kb.audit(folder / f"{name}_int8.{ending}").int8_problems == ()


def test_segmentation_shapes(tmp_path, capsys):
    picture = tmp_path / "shapes.png"
    short = ("--images", 1500, "--epochs", 4)
    run("segmentation_shapes", *short, "--output", tmp_path, "--picture", picture)
    printed = capsys.readouterr().out
    (exact,) = figures(printed, r"mean IoU, float: ([\d.]+)")
    (int8,) = figures(printed, r"mean IoU, int8 TFLite: ([\d.]+)")
    assert exact > 0.4  # 0.17 where all is background
    assert abs(exact - int8) < 0.02
    assert picture.stat().st_size > 10_000
    check_files(tmp_path, "shapes")


def test_embeddings_arcface(tmp_path, capsys):
    run("embeddings_arcface", "--seeds", 1, "--output", tmp_path)
    printed = capsys.readouterr().out
    softmax, arcface = figures(printed, r"mean of 1: softmax ([\d.]+)%, ArcFace ([\d.]+)%")
    assert arcface > softmax > 90
    (int8,) = figures(printed, r"int8 TFLite: ArcFace ([\d.]+)%")
    assert abs(int8 - arcface) < 1
    check_files(tmp_path, "numbers_embedding")


def test_feature_pyramid(tmp_path, capsys):
    run("feature_pyramid", "--images", 1500, "--output", tmp_path)
    printed = capsys.readouterr().out
    exact, _ = figures(printed, r"float: ([\d.]+)% of the digits, ([\d.]+) false .*")
    int8, _ = figures(printed, r"int8 TFLite: ([\d.]+)% of the digits, ([\d.]+) false .*")
    assert exact > 30  # there are ten digits, of three sizes, in any place
    assert abs(exact - int8) < 3
    check_files(tmp_path, "digits")
