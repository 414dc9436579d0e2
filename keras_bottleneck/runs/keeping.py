"""What a training leaves behind while it runs, and how it goes on from there."""

import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import keras
import numpy as np

from keras_bottleneck.export import save_model
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.runs.folder import Row, Run
from keras_bottleneck.training import Recipe


class Keeper(keras.callbacks.Callback):
    """Keeps the files of a run up to date: the best network, the last one, and the metrics.

    It looks for the best at the end of the validation, not of the epoch: with a running average
    of the weights, those that were validated are in the model only until then. (Keras's
    `ModelCheckpoint` and `CSVLogger` write in place: what is interrupted would be left in pieces.)

    Args:
        run: Where to.
        preprocessing: That of the images.
        rows: Those of the epochs before.
    """

    def __init__(self, run: Run, preprocessing: Preprocessing, rows: Sequence[Row] = ()) -> None:
        super().__init__()
        self.run, self.preprocessing, self.rows = run, preprocessing, list(rows)
        self.metric = str(run.config["settings"]["monitor"]).removeprefix("val_")
        self.sign = 1.0 if self.metric == "loss" else -1.0
        best = run.best_row(self.rows)
        self.best = math.inf if best is None else self.sign * best[f"val_{self.metric}"]
        self.began = 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        # Not before: what is refused until then leaves no run.
        self.run.begin()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.began = time.monotonic()

    def on_test_end(self, logs: Any = None) -> None:
        value = self.sign * float(logs[self.metric])
        # A network that answers NaN still has an accuracy.
        if value < self.best and math.isfinite(logs["loss"]):
            self.best = value
            self.keep_best(self.model)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        figures = {name: float(value) for name, value in (logs or {}).items()}
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        seconds = round(time.monotonic() - self.began, 3)
        self.rows.append({"epoch": epoch + 1, **figures, "learning_rate": rate, "seconds": seconds})
        # Rows that last.keras knows nothing of are dropped by `taken_up`; the other way round, one
        # would be missing.
        with uninterrupted():
            self.run.write_rows(self.rows)
            save_model(self.model, self.run.last, self.run.config["classes"], self.preprocessing)

    def keep_best(self, model: keras.Model) -> None:
        """Make `model` the best network of the run."""
        with uninterrupted():
            save_model(model, self.run.best, self.run.config["classes"], self.preprocessing)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until the block is done: inside of it, Keras's `save` may swallow it."""
    handler = signal.getsignal(signal.SIGINT)
    in_main = threading.current_thread() is threading.main_thread()
    if not (in_main and callable(handler)):
        yield
        return
    pressed: list[FrameType | None] = []
    signal.signal(signal.SIGINT, lambda number, frame: pressed.append(frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if pressed:
        handler(signal.SIGINT, pressed[0])


def taken_up(run: Run, recipe: Recipe, steps: int) -> tuple[keras.Model, list[Row], list[Any]]:
    """The last network of a run, compiled as it was, the rows of its epochs, and the callbacks.

    Args:
        run: One with a last.keras.
        recipe: That of the run.
        steps: In an epoch.
    """
    model = keras.models.load_model(run.last)
    state = [np.array(keras.ops.convert_to_numpy(one)) for one in model.optimizer.variables]
    # What does not decay is not in the file: the optimizer is made anew, and given its state.
    callbacks = recipe.compile(model, steps)
    model.optimizer.build(model.trainable_variables)
    for variable, value in zip(model.optimizer.variables, state, strict=True):
        variable.assign(value)
    done = round(int(keras.ops.convert_to_numpy(model.optimizer.iterations)) / steps)
    return model, run.rows()[:done], callbacks
