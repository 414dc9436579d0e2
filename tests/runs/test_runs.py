"""Runs: what is kept while a network is trained, what is refused, and fine-tuning as a run."""

import contextlib
import inspect
import io
import json
import shlex
import signal
import sys

import keras
import numpy as np
import pytest
from PIL import Image

import keras_bottleneck as kb
from keras_bottleneck import runs
from keras_bottleneck.cli.finetune import run as finetune_verb
from keras_bottleneck.image_model import carrying
from keras_bottleneck.models import NETWORKS, Network
from keras_bottleneck.runs.card import command, write_card
from keras_bottleneck.runs.folder import Run, recipe_of, settings_of
from keras_bottleneck.runs.keeping import Keeper, uninterrupted
from keras_bottleneck.training import loop

pytest.importorskip("tensorflow", reason="runs read images with tf.data")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two classes of coloured noise that can be told apart."""
    folder = tmp_path_factory.mktemp("runs") / "photos"
    rng = np.random.default_rng(0)
    for name, level in (("dark", 40), ("light", 200)):
        (folder / name).mkdir(parents=True)
        for index in range(20):
            pixels = rng.integers(level - 40, level + 40, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index:02}.png")
    return folder


@pytest.fixture(scope="module")
def images(photos):
    return kb.data.image_folder(photos, 8, batch_size=8)


def small(images):
    keras.utils.set_random_seed(0)
    shape = images.preprocessing.input_shape
    return kb.ResNet(
        "basic", (1,), filters=(4,), stem="cifar", input_shape=shape, classes=2, name="small"
    )


def tiny(preprocessing, **others):
    """A builder as `NETWORKS` has them."""
    model = kb.ResNet("basic", (1,), filters=(4,), stem="cifar", **others)
    return carrying(model, preprocessing)


def planned(path, images, recipe, **others):
    settings = {"data": "photos", "model": "ResNet20", "image_size": 8, "augment": ["flip"]}
    settings |= {"monitor": "val_loss", **others}
    return Run.planned(path, "train", settings_of(recipe, **settings), images)


def fitted(run, images, recipe, model):
    """Train as `runs.train` does, but for checkpoints."""
    keeper = Keeper(run, images.preprocessing)
    data = images.train, images.validation
    loop.train(recipe, model, *data, [keeper], keep_best=keeper.keep_best)


@pytest.fixture(scope="module")
def run(images, tmp_path_factory):
    recipe = kb.training.Recipe(epochs=3, ema=0.5, learning_rate=1e-2)
    made = planned(tmp_path_factory.mktemp("made") / "run", images, recipe)
    fitted(made, images, recipe, small(images))
    write_card(made)
    return made


def test_the_files_of_a_run_say_what_was_done(run, images):
    found = Run.open(run.path)
    assert found.config == json.loads((run.path / "config.json").read_text())
    assert found.config["classes"] == ["dark", "light"]
    assert found.config["images"] == {"train": 32, "validation": 8, "skipped": 0}
    assert (found.epochs, found.seed, str(found.data)) == (3, 0, "photos")
    rows = found.rows()
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[-1]["learning_rate"] == 0.0
    assert min(rows, key=lambda row: row["val_loss"]) == found.best_row()
    with Image.open(run.path / "curves.png") as picture:
        assert picture.size == (1080, 432)


def test_the_best_network_is_the_one_that_was_validated(run, images):
    """Averaged weights and all: those of the optimizer are in the model between epochs."""
    model, carried = kb.export.load_model(run.best)
    assert carried.labels == ("dark", "light")
    model.compile(metrics=["accuracy"], loss=kb.training.SmoothedCrossentropy(0.1))
    seen = model.evaluate(images.validation, verbose=0, return_dict=True)
    assert seen["loss"] == pytest.approx(run.best_row()["val_loss"], rel=1e-5)


def test_a_run_that_was_stopped_goes_on_to_the_same_files(photos, tmp_path, monkeypatch):
    """Stopped after metrics.csv was written, and before the checkpoint of that epoch."""
    monkeypatch.setitem(NETWORKS, "tiny", Network("tiny", "", 0, 8, tiny))
    settings = {"recipe": kb.training.Recipe(epochs=2, ema=0.5, batch_size=8, learning_rate=1e-2)}
    whole = runs.train(photos, tmp_path / "whole", "tiny", **settings)

    def stop(keeper, epoch, logs=None):
        kept(keeper, epoch, logs)
        raise KeyboardInterrupt

    kept = Keeper.on_epoch_end
    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "on_epoch_end", stop)
        with pytest.raises(KeyboardInterrupt):
            runs.train(photos, tmp_path / "part", "tiny", **settings)
    stopped = Run.open(tmp_path / "part")
    assert len(stopped.rows()) == 1
    assert not stopped.finished
    resumed = runs.resume(stopped.path)
    assert resumed.finished
    assert not (stopped.path / "checkpoints").exists()
    with Image.open(whole.path / "augmented.png") as picture:
        # A row of 8 images with their labels below.
        assert picture.width > 6 * picture.height > 600
    for one, other in zip(resumed.rows(), whole.rows(), strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
    for name in ("best", "last"):
        one, other = (keras.models.load_model(getattr(run, name)) for run in (resumed, whole))
        for kept_value, value in zip(
            [*one.weights, *one.optimizer.variables],
            [*other.weights, *other.optimizer.variables],
            strict=True,
        ):
            np.testing.assert_array_equal(np.array(kept_value), np.array(value))


@pytest.fixture(scope="module")
def lengthened(photos, tmp_path_factory):
    """A finished run of 2 epochs that got 3 more, what the first ended with, and what was said."""
    folder, said = tmp_path_factory.mktemp("lengthened") / "run", io.StringIO()
    recipe = kb.training.Recipe(epochs=2, batch_size=8, learning_rate=1e-2, monitor="val_accuracy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, "tiny", Network("tiny", "", 0, 8, tiny))
        first = runs.train(photos, folder, "tiny", recipe=recipe)
        ended = first.rows(), kb.export.load_model(first.best)[0].get_weights()
        with contextlib.redirect_stdout(said):
            run = runs.resume(folder, epochs=5)
    return run, ended, said.getvalue()


def test_a_finished_run_is_lengthened(lengthened):
    run, (rows, _), said = lengthened
    assert run.finished and run.epochs == 5
    assert not run.start.exists()
    assert run.rows()[:2] == rows
    assert [row["epoch"] for row in run.rows()] == [1, 2, 3, 4, 5]
    # Where a half cosine over 5 epochs would be after 2, and from there down to 0.
    peak = 1e-2 * (1 + np.cos(0.4 * np.pi)) / 2
    (part,) = run.config["lengthened"]
    assert part == {"epochs": 3, "learning_rate": pytest.approx(peak), "after": 2}
    rates = [row["learning_rate"] for row in run.rows()]
    wanted = [0.0, peak, peak / 2, 0.0]  # a warm-up of an epoch, and the cosine of two others
    np.testing.assert_allclose(rates[1:], wanted, atol=1e-8)
    sentence = "3 epochs were added to the 2 that were planned: they begin with the best weights"
    assert sentence in said and sentence in (run.path / "README.md").read_text()
    assert command(run).splitlines()[1].endswith(f"--resume {run.path} --epochs 5")
    assert runs.resume(run.path).rows() == run.rows()


def test_the_best_network_of_a_lengthened_run_is_that_of_all_epochs(lengthened, images):
    run, (_, before), _ = lengthened
    best = run.best_row()
    model, _ = kb.export.load_model(run.best)
    model.compile(metrics=["accuracy"], loss="sparse_categorical_crossentropy")
    found = model.evaluate(images.validation, verbose=0, return_dict=True)
    assert found["accuracy"] == pytest.approx(best["val_accuracy"])
    same = all(map(np.array_equal, model.get_weights(), before))
    assert same == (best["epoch"] <= 2)


@pytest.mark.parametrize("epochs", [5, 3, 0, 2.5])
def test_no_fewer_epochs_than_a_run_has(lengthened, epochs):
    run = lengthened[0]
    config = (run.path / "config.json").read_text()
    with pytest.raises(ValueError, match="^`epochs` must be .*Received: epochs=") as error:
        runs.resume(run.path, epochs=epochs)
    assert "\n" not in str(error.value)
    assert (run.path / "config.json").read_text() == config


def logged(photos, folder, log, monkeypatch, epochs=1):
    monkeypatch.setitem(NETWORKS, "tiny", Network("tiny", "", 0, 8, tiny))
    recipe = kb.training.Recipe(epochs=epochs, batch_size=8)
    run = runs.train(photos, folder, "tiny", log=log, recipe=recipe)
    return runs.resume(run.path, epochs=epochs + 1)


@pytest.mark.slow
def test_tensorboard_gets_the_figures_of_all_epochs(photos, tmp_path, monkeypatch):
    reason = "`tensorboard` is not installed"
    reading = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason=reason
    )
    import tensorflow as tf

    run = logged(photos, tmp_path / "run", ["tensorboard"], monkeypatch)
    for part, prefix in (("validation", "val_"), ("train", "")):
        found = {}
        for file in (run.path / "tensorboard" / part).iterdir():
            events = reading.EventAccumulator(str(file)).Reload()
            for event in events.Tensors("epoch_loss"):
                found[event.step] = float(tf.make_ndarray(event.tensor_proto))
        wanted = {index: row[f"{prefix}loss"] for index, row in enumerate(run.rows())}
        assert found == pytest.approx(wanted)


@pytest.mark.slow
def test_mlflow_gets_settings_figures_and_files(photos, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="`mlflow` is not installed")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    store = (tmp_path / "store").as_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    run = logged(photos, tmp_path / "run", ["mlflow"], monkeypatch)
    client = mlflow.MlflowClient(store)
    experiment = client.get_experiment_by_name("keras-bottleneck")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.status == "FINISHED" and found.info.run_name == "run"
    assert found.data.params["batch_size"] == "8" and found.data.params["model"] == "tiny"
    losses = client.get_metric_history(found.info.run_id, "val_loss")
    assert [one.step for one in losses] == [1, 2]
    assert [one.value for one in losses] == [row["val_loss"] for row in run.rows()]
    files = {one.path for one in client.list_artifacts(found.info.run_id)}
    assert files == {"README.md", "augmented.png", "best.keras", "curves.png"}


def test_a_tool_that_is_missing_or_unknown_is_refused_before_the_work(
    photos, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ImportError, match="^`log='mlflow'` needs `mlflow`: pip install 'keras-"):
        runs.train(photos, tmp_path / "new", log=("mlflow",))
    for log in ("tensorboard", ["tensorboards"], 3):
        with pytest.raises(ValueError, match="^`log` must be .*tensorboard"):
            runs.train(photos, tmp_path / "new", log=log)
    assert not (tmp_path / "new").exists()


def test_a_run_of_an_earlier_version_has_the_defaults_of_new_fields(run):
    settings = {name: one for name, one in run.config["settings"].items() if name != "patience"}
    earlier = Run(run.path, {**run.config, "settings": settings})
    assert recipe_of(earlier, kb.training.Recipe) == recipe_of(run, kb.training.Recipe)


def test_a_file_that_cannot_be_written_is_said_in_one_sentence(run, tmp_path, images):
    elsewhere = planned(tmp_path / "gone" / "run", images, kb.training.Recipe())
    keeper = Keeper(elsewhere, images.preprocessing)
    model, _ = kb.export.load_model(run.best)
    (tmp_path / "gone").write_text("a file where the folder was")
    with pytest.raises(OSError, match="could not be written .*go on with `resume`") as error:
        keeper.keep_best(model)
    assert "\n" not in str(error.value)


def test_ctrl_c_waits_for_the_file_that_is_being_written():
    done = []
    signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background ignore it
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        signal.raise_signal(signal.SIGINT)
        done.append("written")
    assert done == ["written"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.slow
def test_finetune_keeps_a_run_for_other_classes(run, photos, tmp_path):
    birds = tmp_path / "birds"
    for name in ("crow", "gull", "owl"):
        (birds / name).mkdir(parents=True)
        first = 10 if name == "owl" else 0
        files = sorted((photos / ("light" if name == "gull" else "dark")).iterdir())
        for file in files[first : first + 10]:
            (birds / name / file.name).write_bytes(file.read_bytes())
    recipe = kb.training.FineTune(epochs=1, head_epochs=1, stages=1, batch_size=8)
    tuned = runs.finetune(run.path, birds, tmp_path / "tuned", recipe=recipe)
    predictor = kb.runtime.load(tuned.best)
    assert predictor.labels == ("crow", "gull", "owl")
    assert predictor.preprocessing == kb.Preprocessing((8, 8))
    assert len(tuned.rows()) == 2
    _, verb, source, *options = shlex.split(command(tuned))
    assert (verb, source) == ("finetune", str(run.path.absolute()))
    known = {f"--{name.replace('_', '-')}" for name in inspect.signature(finetune_verb).parameters}
    assert set(options[::2]) <= known
    assert "Fine-tuned on 24 images" in (tuned.path / "README.md").read_text()
    written = tuned.last.stat().st_mtime_ns
    assert runs.resume(tuned.path).rows() == tuned.rows()
    assert tuned.last.stat().st_mtime_ns == written, "a finished run is trained again"


@pytest.mark.slow
def test_finetune_keeps_the_head_for_the_same_classes(run, photos, tmp_path):
    recipe = kb.training.FineTune(epochs=1, head_epochs=0, stages=0, learning_rate=1e-9)
    tuned = runs.finetune(str(run.best), photos, tmp_path / "tuned", recipe=recipe)
    before, after = (kb.runtime.load(path) for path in (run.best, tuned.best))
    image = photos / "dark" / "00.png"
    np.testing.assert_allclose(before.probabilities(image), after.probabilities(image), rtol=1e-3)


@pytest.mark.slow
def test_finetune_takes_the_weights_of_a_file(photos, tmp_path):
    source = kb.ResNet20(input_shape=(8, 8, 3), classes=5)
    kb.weights.save(source, tmp_path / "five.safetensors")
    recipe = kb.training.FineTune(epochs=1, head_epochs=0, stages=0, learning_rate=1e-9)
    tuned = runs.finetune(
        "ResNet20",
        photos,
        tmp_path / "tuned",
        weights=tmp_path / "five.safetensors",
        image_size=8,
        recipe=recipe,
    )
    model, _ = kb.export.load_model(tuned.best)
    kernel = "stage3_block3"
    for one, other in zip(
        model.get_layer(kernel).weights, source.get_layer(kernel).weights, strict=True
    ):
        np.testing.assert_array_equal(np.array(one), np.array(other))


def test_what_is_refused_leaves_no_run(run, photos, tmp_path):
    recipe = kb.training.FineTune(stages=9)
    with pytest.raises(ValueError, match="`stages`"):
        runs.finetune(run.path, photos, tmp_path / "new", recipe=recipe)
    with pytest.raises(ValueError, match="`recipe` must be a Recipe or None"):
        runs.train(photos, tmp_path / "new", recipe={"epochs": 3})
    with pytest.raises(ValueError, match="`recipe` must be a Recipe .* see `finetune`"):
        runs.train(photos, tmp_path / "new", recipe=recipe)
    with pytest.raises(ValueError, match="would be overwritten"):
        runs.train(photos, run.path)
    assert not (tmp_path / "new").exists()


def test_a_run_that_diverges_says_so(images, tmp_path):
    recipe = kb.training.Recipe(epochs=1, learning_rate=1e30, warmup_epochs=0, optimizer="sgd")
    made = planned(tmp_path / "run", images, recipe)
    with pytest.raises(ValueError, match="^Epoch 1, step"):
        fitted(made, images, recipe, small(images))
    assert made.best_row() is None
    assert not made.best.exists()
    with pytest.raises(ValueError, match="validated epoch"):
        write_card(made)
