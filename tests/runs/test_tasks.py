"""Runs of each task: from a folder to a network, to int8 files, and a page."""

import json

import numpy as np
import pytest
from PIL import Image

import keras_bottleneck as kb
from keras_bottleneck import runs
from keras_bottleneck.reporting import write_report
from keras_bottleneck.training import FineTune, Recipe

pytest.importorskip("tensorflow", reason="data needs TensorFlow")

COUNT, SIDE = 24, 16
MODEL = {"model": "ResNet20", "image_size": SIDE, "augment": ()}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Folders of red and not red, bright and dark images, with a table for each task."""
    rng = np.random.default_rng(0)
    red = rng.integers(0, 2, COUNT)
    bright = rng.integers(0, 2, COUNT)
    columns = {
        "multi-label": ("red,bright", zip(red, bright, strict=True)),
        "regression": ("age,weight", zip(40.5 + 10 * bright, 0.25 * red, strict=True)),
        "classification": ("class", ((("dark", "bright")[one],) for one in bright)),
    }
    root = tmp_path_factory.mktemp("tables")
    for task, (heading, rows) in columns.items():
        (root / task).mkdir()
        for index in range(COUNT):
            pixels = rng.integers(0, 60, (SIDE, SIDE, 3)) + 120 * bright[index]
            pixels[..., 0] += 70 * red[index]
            image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
            image.save(root / task / f"{index}.png")
        lines = [f"{index}.png,{','.join(map(str, row))}" for index, row in enumerate(rows)]
        (root / task / "labels.csv").write_text("\n".join([f"file,{heading}", *lines]))
    return root


@pytest.mark.parametrize(
    "task",
    [
        "regression",
        pytest.param("multi-label", marks=pytest.mark.slow),
        pytest.param("classification", marks=pytest.mark.slow),
    ],
)
def test_from_a_table_to_a_page(tables, tmp_path, task):
    run = runs.train(tables / task, tmp_path / "run", recipe=Recipe(epochs=1), **MODEL)
    assert run.task == task
    metric = "mae" if task == "regression" else "accuracy"
    assert f"val_{metric}" in run.rows()[0]
    card = (run.path / "README.md").read_text()
    assert ("mean absolute error" in card) == (task == "regression")
    predictor = kb.runtime.load(run.path)
    assert predictor.task == task and predictor.labels == tuple(run.config["classes"])
    answer = predictor(tables / task / "0.png")
    assert {name for name, _ in answer} == set(predictor.labels)
    if task == "regression":
        # The network begins with the mean of what it is to predict.
        assert 30 < dict(answer)["age"] < 60
    page = write_report(run.path, data=run.folder, sensitivity=False).read_text()
    assert {"regression": "R2", "multi-label": "F1"}.get(task, "recall") in page
    tuned = runs.finetune(
        run.path, tables / task, tmp_path / "tuned", recipe=FineTune(epochs=1, head_epochs=0)
    )
    assert (tuned.task, tuned.config["classes"]) == (task, run.config["classes"])


@pytest.mark.slow
def test_a_head_of_another_task(tables, tmp_path):
    run = runs.train(tables / "classification", tmp_path / "run", recipe=Recipe(epochs=1), **MODEL)
    tuned = runs.finetune(
        run.path, tables / "regression", tmp_path / "tuned", recipe=FineTune(epochs=1, stages=0)
    )
    assert kb.runtime.load(tuned.path).task == "regression"
    again = runs.finetune(
        tuned.path, tables / "multi-label", tmp_path / "again", recipe=FineTune(epochs=1, stages=0)
    )
    assert kb.runtime.load(again.path).task == "multi-label"


def test_a_run_knows_its_table_and_its_other_folder(tables, tmp_path):
    elsewhere = tmp_path / "elsewhere.csv"
    rows = [f"{index}.png,{'ab'[index % 2]}" for index in range(COUNT)]
    elsewhere.write_text("\n".join(["file,class", *rows]))
    recipe = Recipe(epochs=1, class_weights={"b": 3.0})
    run = runs.train(
        tables / "regression", tmp_path / "run", recipe=recipe, labels=elsewhere, **MODEL
    )
    assert run.config["classes"] == ["a", "b"]
    assert run.config["settings"]["class_weights"] == {"b": 3.0}
    assert "--labels" in (run.path / "README.md").read_text()
    assert "b=3" in (run.path / "README.md").read_text()
    report = kb.evaluation.evaluate(run.path, run.folder)
    assert report.images == run.config["images"]["validation"]
    assert runs.resume(run.path).rows() == run.rows()


@pytest.mark.parametrize(
    ("task", "recipe", "message"),
    [
        ("classification", Recipe(class_weights={"grey": 2}), "`class_weights` .* bright, dark"),
        ("multi-label", Recipe(class_weights="balanced"), "`class_weights` must be None for multi"),
        ("regression", Recipe(monitor="val_accuracy"), "`monitor` must be 'val_loss'"),
        ("multi-label", Recipe(task="classification"), "`task` must be 'multi-label' or"),
    ],
)
def test_what_a_task_cannot_have_is_refused_before_the_training(
    tables, tmp_path, task, recipe, message
):
    with pytest.raises(ValueError, match=f"^{message}"):
        runs.train(tables / task, tmp_path / "run", recipe=recipe, **MODEL)
    assert not (tmp_path / "run").exists()


def test_runs_of_earlier_versions_are_read(tables, tmp_path):
    """Their config.json has neither task nor test images, nor the newer settings."""
    run = runs.train(tables / "classification", tmp_path / "run", recipe=Recipe(epochs=1), **MODEL)
    config = json.loads((run.path / "config.json").read_text())
    del config["task"]
    newer = ("task", "class_weights", "regression_loss", "labels", "validation", "log")
    config["settings"] = {
        name: one for name, one in config["settings"].items() if name not in newer
    }
    (run.path / "config.json").write_text(json.dumps(config))
    old = runs.Run.open(run.path)
    assert old.task == "classification"
    assert kb.evaluation.evaluate(run.path, old.folder).images == 5
    assert runs.resume(run.path).finished
