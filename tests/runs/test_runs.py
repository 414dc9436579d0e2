"""Runs: what is kept while a network is trained, what is refused, and fine-tuning as a run."""

import inspect
import json
import shlex
import signal

import keras
import numpy as np
import pytest
from PIL import Image

import keras_bottleneck as kb
from keras_bottleneck import runs
from keras_bottleneck.cli.finetune import run as finetune_verb
from keras_bottleneck.runs.card import command, write_card
from keras_bottleneck.runs.folder import Run, settings_of
from keras_bottleneck.runs.keeping import Keeper, taken_up, uninterrupted

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


def planned(path, images, recipe, **others):
    settings = {"data": "photos", "model": "ResNet20", "image_size": 8, "augment": ["flip"]}
    settings |= {"monitor": "val_loss", **others}
    return Run.planned(path, "train", settings_of(recipe, **settings), images)


def fitted(run, images, recipe, model, rows=(), callbacks=None):
    """Train as `runs.train` does, from the first row that is missing."""
    if callbacks is None:
        callbacks = recipe.compile(model, len(images.train))
    model.fit(
        images.train,
        initial_epoch=len(rows),
        epochs=recipe.epochs,
        validation_data=images.validation,
        verbose=0,
        callbacks=[Keeper(run, images.preprocessing, rows), *callbacks],
    )


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


def test_a_run_that_was_stopped_has_the_state_of_its_last_epoch(run, images, tmp_path):
    """Optimizer, averages, step and learning rate are those of an uninterrupted training."""
    recipe = kb.training.Recipe(epochs=3, ema=0.5, learning_rate=1e-2)
    stopped = planned(tmp_path / "run", images, recipe)

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.kept = [np.array(one) for one in self.model.optimizer.variables]
            raise KeyboardInterrupt

    stop, model = Stop(), small(images)
    callbacks = [*recipe.compile(model, 4), stop]
    with pytest.raises(KeyboardInterrupt):
        fitted(stopped, images, recipe, model, callbacks=callbacks)
    assert not (stopped.path / "README.md").exists()

    resumed, rows, callbacks = taken_up(stopped, recipe, 4)
    assert len(rows) == 1
    for one, kept in zip(resumed.optimizer.variables, stop.kept, strict=True):
        np.testing.assert_array_equal(np.array(one), kept)
    for one, kept in zip(resumed.weights, model.weights, strict=True):
        np.testing.assert_array_equal(np.array(one), np.array(kept))
    decaying = [one.name for one in resumed.trainable_variables if len(one.shape) > 1]
    uses = resumed.optimizer._use_weight_decay
    assert [one.name for one in resumed.trainable_variables if uses(one)] == decaying
    fitted(stopped, images, recipe, resumed, rows, callbacks)
    rates = [row["learning_rate"] for row in stopped.rows()]
    assert rates == [row["learning_rate"] for row in run.rows()]


def test_ctrl_c_waits_for_the_file_that_is_being_written():
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        signal.raise_signal(signal.SIGINT)
        done.append("written")
    assert done == ["written"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_rows_that_the_last_network_knows_nothing_of_are_dropped(run, images, tmp_path):
    recipe = kb.training.Recipe(epochs=3, ema=0.5, learning_rate=1e-2)
    copy = planned(tmp_path / "run", images, recipe)
    copy.begin()
    copy.write("last.keras", run.last.read_bytes())
    copy.write_rows([*run.rows(), {**run.rows()[-1], "epoch": 4.0}])
    assert len(taken_up(copy, recipe, 4)[1]) == 3


def test_finetune_keeps_a_run_for_other_classes(run, photos, tmp_path):
    birds = tmp_path / "birds"
    for name in ("crow", "gull", "owl"):
        (birds / name).mkdir(parents=True)
        for file in sorted((photos / ("light" if name == "gull" else "dark")).iterdir())[:10]:
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
    with pytest.raises(ValueError, match="fine-tuning begins anew"):
        runs.resume(tuned.path)


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
    with pytest.raises(ValueError, match="would be overwritten"):
        runs.train(photos, run.path)
    assert not (tmp_path / "new").exists()


def test_a_run_that_diverges_says_so(images, tmp_path):
    recipe = kb.training.Recipe(epochs=1, learning_rate=1e30, warmup_epochs=0, optimizer="sgd")
    made = planned(tmp_path / "run", images, recipe)
    fitted(made, images, recipe, small(images))
    assert made.best_row() is None
    assert not made.best.exists()
    with pytest.raises(ValueError, match="validated epoch"):
        write_card(made)
