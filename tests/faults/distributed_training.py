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


class Pace(keras.callbacks.Callback):
    """Lets every step take a while."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def on_train_batch_end(self, batch, logs=None):
        time.sleep(self.seconds)


class OwnData:
    """Batches of 4 samples, as a process may have them for itself."""

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __iter__(self):
        images, labels = data()
        for start in range(0, 4 * self.length, 4):
            yield images[start : start + 4], labels[start : start + 4]


def main(
    out,
    epochs=2,
    accident=None,
    checkpoints=None,
    every_s=0,
    lengths=None,
    claims=None,
    pace_s=0,
    step_timeout_s=6.0,
    pause_timeout_s=120.0,
):
    """Train, and write weights and history to the file `out`, with the number of the process.

    `accident` is (kind, process, step); `lengths` the batches of each process, of datasets of its
    own; `claims` how many make an epoch of generators; `pace_s` the least time of a step.
    """
    with kb.distribution.initialize(
        step_timeout_s=step_timeout_s,
        pause_timeout_s=pause_timeout_s,
        heartbeat_timeout_s=20,
    ) as job:
        model = kb.ResNet(
            "basic", (1,), filters=(4,), stem="cifar", classes=CLASSES, input_shape=(8, 8, 3)
        )
        train = data()
        if lengths:
            train = OwnData(lengths[job.process])
            train = iter(train) if claims else train
        callbacks = [Pace(pace_s)]
        if accident and accident[1] == job.process:
            callbacks.append(Accident(accident[0], accident[2]))
        history = job.fit(
            kb.training.Recipe(epochs=epochs, batch_size=8, learning_rate=1e-2),
            model,
            train,
            data(12),  # whose batches of 8 and 4 two and four processes divide
            callbacks=callbacks,
            steps_per_epoch=claims,
            checkpoints=checkpoints and kb.training.Checkpoints(checkpoints, every_s=every_s),
        )
        arrays = {
            f"{index:03d}": np.asarray(keras.ops.convert_to_numpy(variable))
            for index, variable in enumerate([*model.variables, *model.optimizer.variables])
        }
        losses = {name: np.asarray(values) for name, values in history.history.items()}
        np.savez(f"{out}.{job.process}.npz", **arrays, **losses)
