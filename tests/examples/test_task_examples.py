"""The examples of backbones for other tasks: a short run of each, and, marked `full`, the figures
that examples/README.md states."""

import re

import pytest

import keras_bottleneck as kb

pytest.importorskip("tensorflow", reason="the examples export")
pytest.importorskip("sklearn", reason="the examples read its scans of digits")
pytest.importorskip("matplotlib", reason="an example draws")

pytestmark = pytest.mark.slow


def figures(printed, pattern):
    """The numbers of the only line that `pattern` matches."""
    (found,) = re.findall(f"^{pattern}$", printed, re.MULTILINE)
    return [float(one) for one in ([found] if isinstance(found, str) else found)]


def check_files(folder, name):
    for ending in ("tflite", "onnx"):
        assert kb.audit(folder / f"{name}_int8.{ending}").int8_problems == ()


@pytest.mark.parametrize(
    ("arguments", "least"),
    [
        (("--images", 500, "--epochs", 2), 0.17),  # 0.167 where all is background
        pytest.param(("--images", 4000), 0.88, marks=pytest.mark.full),
    ],
    ids=["short", "as stated"],
)
@pytest.mark.full
def test_segmentation_shapes(run, arguments, least, tmp_path, capsys):
    picture = tmp_path / "shapes.png"
    run("segmentation_shapes", *arguments, "--output", tmp_path, "--picture", picture)
    printed = capsys.readouterr().out
    (exact,) = figures(printed, r"mean IoU, float: ([\d.]+)")
    (int8,) = figures(printed, r"mean IoU, int8 TFLite: ([\d.]+)")
    assert exact > least
    assert abs(exact - int8) < 0.02
    assert picture.stat().st_size > 10_000
    check_files(tmp_path, "shapes")


@pytest.mark.full
@pytest.mark.parametrize("seeds", [1, 3])
def test_embeddings_arcface(run, seeds, tmp_path, capsys):
    run("embeddings_arcface", "--seeds", seeds, "--output", tmp_path)
    printed = capsys.readouterr().out
    softmax, arcface = figures(printed, rf"mean of {seeds}: softmax ([\d.]+)%, ArcFace ([\d.]+)%")
    assert arcface > softmax > 90
    (int8,) = figures(printed, r"int8 TFLite: ArcFace ([\d.]+)%")
    assert abs(int8 - arcface) < 1
    check_files(tmp_path, "numbers_embedding")


@pytest.mark.parametrize(
    ("arguments", "least"),
    [
        # There are ten digits, of three sizes, in any place.
        pytest.param(("--images", 1000), 15, marks=pytest.mark.full),
        pytest.param((), 75, marks=pytest.mark.full),
    ],
    ids=["short", "as stated"],
)
def test_feature_pyramid(run, arguments, least, tmp_path, capsys):
    run("feature_pyramid", *arguments, "--output", tmp_path)
    printed = capsys.readouterr().out
    exact, _ = figures(printed, r"float: ([\d.]+)% of the digits, ([\d.]+) false .*")
    int8, _ = figures(printed, r"int8 TFLite: ([\d.]+)% of the digits, ([\d.]+) false .*")
    assert exact > least
    assert abs(exact - int8) < 3
    check_files(tmp_path, "digits")
