"""The program that each process of a job runs in the tests: a training with an accident in it."""

import os
import signal
import time

import keras
import numpy as np

import keras_bottleneck as kb

SAMPLES, CLASSES = 40, 3


class Accident(keras.callbacks.Callback):
    """Lets something happen to this process behind a step of the second epoch."""

    def __init__(self, kind, step):
        super().__init__()
        self.kind, self.step, self.steps = kind, step, 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.steps == self.step:
            happen(self.kind)


def happen(kind):
    if kind == "hangs":
        time.sleep(600)
    elif kind == "raises":
        raise LookupError("a mistake in the program")
    else:
        os.kill(os.getpid(), getattr(signal, kind))


def data(samples=SAMPLES):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(samples, 8, 8, 3)).astype("float32")
    return images, rng.integers(0, CLASSES, samples).astype("int32")


def own_batches(job, lengths):
    """As many batches as `lengths` says of this process, of 4 samples each."""
    images, labels = data()
    held = [slice(4 * index, 4 * index + 4) for index in range(lengths[job.process])]
    return [(images[rows], labels[rows]) for rows in held]


def main(
    out,
    epochs=2,
    accident=None,
    checkpoints=None,
    lengths=None,
    claims=None,
    seeds=(0, 0, 0, 0),
    step_timeout_s=6.0,
    heartbeat_timeout_s=20,
):
    """Train, and write weights and history to the file `out`, with the number of the process.

    `accident` is (kind, process, step); `lengths` the batches of each process, of datasets of its
    own; `claims` how many it says that it has; `seeds` those of the weights.
    """
    with kb.distribution.initialize(
        step_timeout_s=step_timeout_s,
        pause_timeout_s=120,
        heartbeat_timeout_s=heartbeat_timeout_s,
    ) as job:
        keras.utils.set_random_seed(seeds[job.process])
        model = kb.ResNet(
            "basic", (1,), filters=(4,), stem="cifar", classes=CLASSES, input_shape=(8, 8, 3)
        )
        train = data()
        if lengths:
            train = own_batches(job, lengths)
        callbacks = []
        if accident and accident[1] == job.process:
            callbacks.append(Accident(accident[0], accident[2]))
        history = job.fit(
            kb.training.Recipe(epochs=epochs, batch_size=8, learning_rate=1e-2),
            model,
            train,
            None if lengths else data(10),
            callbacks=callbacks,
            steps_per_epoch=claims,
            checkpoints=checkpoints and kb.training.Checkpoints(checkpoints, every_s=0),
        )
        arrays = {
            f"{index:03d}": np.asarray(keras.ops.convert_to_numpy(variable))
            for index, variable in enumerate([*model.variables, *model.optimizer.variables])
        }
        losses = {name: np.asarray(values) for name, values in history.history.items()}
        np.savez(f"{out}.{job.process}.npz", **arrays, **losses)
