"""Trainings that are killed: `python -m tests.faults.resume images --kills 50 --seed 0`.

A training runs once to its end, undisturbed. Then the same training is killed, started again and
killed again, half of the times at a random moment, half of the times before a random one of its
changes to the file system, until it has been killed four times or is done. It has to end with the
same bits: weights, seeds, moments, averages, loss scale, ranges, and every figure of every epoch.
Exits with 1 where it does not.
"""

import argparse
import contextlib
import io
import json
import os
import random
import sys
import tempfile
import time
import zipfile
from functools import partial
from pathlib import Path

import keras
import numpy as np

import keras_bottleneck as kb
from keras_bottleneck import data, quantization, runs, training
from keras_bottleneck.models import NETWORKS, Network
from keras_bottleneck.runs import folder as run_folder

from .killing import changes_of, finished, killed_after, killed_at_step

SIDE, CLASSES = 8, 2
KILLS_OF_ONE = 4
# A training is hardly at work before this share of its time.
BEGIN = 0.3


def network(**others):
    """A small residual network with two sources of random numbers in it."""
    keras.utils.set_random_seed(3)
    settings = {"input_shape": (SIDE, SIDE, 3), "classes": CLASSES, "stem": "cifar", **others}
    model = kb.ResNet("basic", (1,), filters=(4,), drop_path=0.5, name="tiny", **settings)
    features = keras.layers.Dropout(0.3)(model.layers[-2].output)
    return keras.Model(model.input, model.layers[-1](features))


def photos(folder):
    """Two classes of coloured noise."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for name, level in (("dark", 60), ("light", 170)):
        (folder / name).mkdir(parents=True)
        for index in range(18):
            pixels = rng.integers(level - 60, level + 60, (SIDE, SIDE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index:02}.png")


def arrays(count=21):
    rng = np.random.default_rng(1)
    return rng.random((count, SIDE, SIDE, 3), np.float32), rng.integers(0, CLASSES, count)


def keep(folder, model, history):
    """What has come of a training, for `same`."""
    held = {f"model{i}": one for i, one in enumerate(model.variables)}
    held |= {f"optimizer{i}": one for i, one in enumerate(model.optimizer.variables)}
    held = {name: keras.ops.convert_to_numpy(one) for name, one in held.items()}
    scratch = folder / "result.part.npz"
    np.savez(scratch, history=json.dumps(history.history), **held)
    os.replace(scratch, folder / "result.npz")


def every_step(folder):
    return training.Checkpoints(folder / "checkpoints", every_s=0)


def train_images(folder, inputs):
    """Dropout, drop path, mixed-up and flipped images, averaged weights, decay, unequal classes."""
    images = data.image_folder(inputs / "photos", SIDE, batch_size=8, augment=("flip", "mixup"))
    model = network()
    recipe = training.Recipe(epochs=3, learning_rate=0.01, ema=0.8, class_weights="balanced")
    history = recipe.fit(model, images.train, images.validation, checkpoints=every_step(folder))
    keep(folder, model, history)


def train_augmented(folder, inputs):
    """The other augmentations that have names, and Muon."""
    names = ("resized_crop", "rotation", "jitter", "augmix", "erasing", "cutmix")
    images = data.image_folder(inputs / "photos", SIDE, batch_size=8, augment=names)
    model = network()
    recipe = training.Recipe(epochs=2, optimizer="muon", ema=0.8)
    history = recipe.fit(model, images.train, images.validation, checkpoints=every_step(folder))
    keep(folder, model, history)


def train_arrays(folder, inputs):
    """Arrays of 6 batches in epochs of 4, in an order that nobody has asked for."""
    model = network()
    weights = {"class_weights": {0: 0.5}}
    recipe = training.Recipe(epochs=3, batch_size=4, optimizer="sgd", seed=7, ema=0.8, **weights)
    history = recipe.fit(
        model, arrays(), arrays(7), steps_per_epoch=4, checkpoints=every_step(folder)
    )
    keep(folder, model, history)


def train_generator(folder, inputs):
    """What can only be read from its beginning."""

    def batches():
        rng = np.random.default_rng(0)
        while True:
            yield rng.random((4, SIDE, SIDE, 3), np.float32), rng.integers(0, CLASSES, 4)

    model = network()
    recipe = training.Recipe(epochs=2, optimizer="adam")
    history = recipe.fit(
        model, batches(), arrays(7), steps_per_epoch=4, checkpoints=every_step(folder)
    )
    keep(folder, model, history)


def train_shuffled(folder, inputs):
    """Phases with data of others, in another order each time that it is read."""
    import tensorflow as tf

    batches = tf.data.Dataset.from_tensor_slices(arrays()).shuffle(21, seed=5).batch(4)
    model = network()
    recipe = training.FineTune(epochs=2, head_epochs=2, stages=1, batch_norm="frozen")
    history = training.finetune(model, batches, arrays(7), recipe, checkpoints=every_step(folder))
    keep(folder, model, history)


def train_half(folder, inputs):
    """float16, with a loss scale that begins too high."""
    model = network()
    recipe = training.Recipe(epochs=3, batch_size=4, mixed_precision="mixed_float16")
    history = recipe.fit(model, arrays(), arrays(7), checkpoints=every_step(folder))
    keep(folder, model, history)


def train_quantized(folder, inputs):
    """A quantized network, whose ranges move in the first epoch and are held in the others."""
    keras.utils.set_random_seed(3)  # the file does not hold the seeds of its dropout
    model = keras.models.load_model(inputs / "quantized.keras")
    recipe = training.Recipe(epochs=2, batch_size=4, learning_rate=1e-4)
    schedule = quantization.QuantizationSchedule(moving_epochs=1)
    history = recipe.fit(
        model, arrays(), arrays(7), callbacks=[schedule], checkpoints=every_step(folder)
    )
    keep(folder, model, history)


def train_phases(folder, inputs):
    """`finetune`: phases that end early, and statistics that are estimated anew."""
    model = network()
    recipe = training.FineTune(
        epochs=3,
        head_epochs=3,
        stages=1,
        batch_size=4,
        patience=1,
        batch_norm="recalibrated",
        optimizer="lion",
        learning_rate=1e-4,
    )
    history = training.finetune(model, arrays(), arrays(7), recipe, checkpoints=every_step(folder))
    keep(folder, model, history)


def checkpoints_of_every_step():
    """Runs decide for themselves when to write checkpoints: here, after every step."""
    run_folder.Checkpoints = partial(training.Checkpoints, every_s=0)


def train_run(folder, inputs):
    """The folder of a run of `train`."""
    checkpoints_of_every_step()
    NETWORKS["tiny"] = Network("tiny", "", 0, SIDE, _tiny)
    recipe = training.Recipe(epochs=3, batch_size=8, learning_rate=0.01, ema=0.8)
    if runs.is_run(folder / "run"):
        runs.resume(folder / "run")
    else:
        runs.train(
            inputs / "photos", folder / "run", "tiny", augment=("flip", "mixup"), recipe=recipe
        )


def train_lengthened(folder, inputs):
    """A run that has got more epochs than it was planned with."""
    train_run(folder, inputs)
    run = runs.Run.open(folder / "run")
    runs.resume(run.path, epochs=None if run.lengthened else 5)


def _tiny(preprocessing, **others):
    model = network(preprocessing=preprocessing, **others)
    return kb.image_model.carrying(model, preprocessing)


def train_tuned_run(folder, inputs):
    """The folder of a run of `finetune`."""
    checkpoints_of_every_step()
    recipe = training.FineTune(
        epochs=2, head_epochs=2, stages=1, batch_size=8, ema=0.8, optimizer="muon"
    )
    if runs.is_run(folder / "run"):
        runs.resume(folder / "run")
    else:
        source = inputs / "source.keras"
        runs.finetune(source, inputs / "photos", folder / "run", recipe=recipe)


def train_lengthened_tuning(folder, inputs):
    """A run of `finetune` with more epochs in its last phase."""
    train_tuned_run(folder, inputs)
    run = runs.Run.open(folder / "run")
    runs.resume(run.path, epochs=None if run.lengthened else 4)


CASES = {
    "images": train_images,
    "augmented": train_augmented,
    "arrays": train_arrays,
    "generator": train_generator,
    "shuffled": train_shuffled,
    "half": train_half,
    "quantized": train_quantized,
    "phases": train_phases,
    "train": train_run,
    "lengthened": train_lengthened,
    "finetune": train_tuned_run,
    "lengthened_finetune": train_lengthened_tuning,
}


def prepare(inputs, case):
    """What a training starts from."""
    photos(inputs / "photos")
    if case == "quantized":
        quantized = kb.quantize(network(), arrays()[0], equalize=False)
        quantized.save(inputs / "quantized.keras")
    if case in ("finetune", "lengthened_finetune"):
        kb.export.save_model(network(), inputs / "source.keras", ("a", "b"), kb.Preprocessing(SIDE))


def result(folder):
    """Every number that a training has left behind, by name."""
    found = {}
    if (folder / "result.npz").is_file():
        with np.load(folder / "result.npz") as file:
            found |= {name: file[name] for name in file.files}
    run = folder / "run"
    if run.is_dir():
        rows = runs.Run.open(run).rows()
        found["rows"] = np.array([[row[name] for name in row if name != "seconds"] for row in rows])
        for name in ("best.keras", "last.keras"):
            found |= {f"{name}/{path}": one for path, one in _variables(run / name).items()}
        found["files"] = np.array(sorted(path.name for path in run.iterdir()))
    return found


def _variables(path):
    import h5py

    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with zipfile.ZipFile(path) as archive:
        content = archive.read("model.weights.h5")
    with h5py.File(io.BytesIO(content)) as file:
        file.visititems(visit)
    return found


def difference(one, other):
    """The names of what is not the same, to the last bit."""
    return [
        name
        for name in sorted(one.keys() | other.keys())
        if name not in one
        or name not in other
        or one[name].dtype != other[name].dtype
        or one[name].tobytes() != other[name].tobytes()
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng, case = random.Random(given.seed), CASES[given.case]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "inputs").mkdir()
        finished(quiet(partial(prepare, root / "inputs", given.case)))

        def job(number):
            place = root / str(number)
            place.mkdir(exist_ok=True)
            return quiet(partial(case, place, root / "inputs"))

        began = time.monotonic()
        changes = changes_of(job(0))
        seconds = time.monotonic() - began
        wanted = result(root / "0")
        assert wanted, "the training has left nothing behind"
        killed = trainings = losses = 0
        while killed < given.kills:
            trainings += 1
            for _ in range(min(KILLS_OF_ONE, given.kills - killed)):
                at_step = rng.random() < 0.5
                dead = (
                    killed_at_step(job(trainings), rng.randint(1, changes))
                    if at_step
                    else killed_after(job(trainings), seconds * rng.uniform(BEGIN, 1.0))
                )
                killed += dead
                if not dead:
                    break
            finished(job(trainings))
            if names := difference(wanted, result(root / str(trainings))):
                losses += 1
                print(f"training {trainings} differs in {names}")
    print(f"{given.case}: {killed} kills in {trainings} trainings, {losses} losses")
    sys.exit(1 if losses else 0)


def quiet(job):
    """`job` without what it says; a failure still shows."""

    def run():
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            job()

    return run


if __name__ == "__main__":
    main()
