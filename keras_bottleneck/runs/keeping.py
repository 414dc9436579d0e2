"""What a training leaves behind while it runs."""

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import keras

from keras_bottleneck import checks
from keras_bottleneck.distribution import ALONE, Job
from keras_bottleneck.export import save_model
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.runs.folder import Row, Run


class Keeper(keras.callbacks.Callback):
    """Keeps the files of a run up to date: the last network and the metrics, and the best network.

    The training loop calls `keep_best` when an epoch has been validated as the best so far.
    (Keras's `ModelCheckpoint` and `CSVLogger` write in place: what is interrupted would be left in
    pieces.) A file that cannot be written ends the training, which can be taken up when there is
    space: otherwise the best network might be lost.

    Args:
        run: Where to.
        preprocessing: That of the images.
        job: That trains; process 0 of it writes the files.
    """

    def __init__(self, run: Run, preprocessing: Preprocessing, job: Job = ALONE) -> None:
        super().__init__()
        self.run, self.preprocessing, self.job = run, preprocessing, job
        part = run.part
        self.rows: list[Row] = run.rows()[: part["after"]] if part else []
        self.began = 0.0

    def get_state(self) -> dict[str, Any]:
        """What a checkpoint keeps: the rows of metrics.csv."""
        return {"rows": self.rows}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on after those rows."""
        self.rows = list(state["rows"])

    def on_train_begin(self, logs: Any = None) -> None:
        # Not before: what is refused until then leaves no run.
        if self.job.process == 0:
            self.run.begin()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        figures = {name: float(value) for name, value in (logs or {}).items()}
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        seconds = round(time.monotonic() - self.began, 3)
        self.rows.append({"epoch": epoch + 1, **figures, "learning_rate": rate, "seconds": seconds})
        if self.job.process == 0:
            with _written(self.run.path):
                self.run.write_rows(self.rows)
                self._save(self.model, self.run.last)

    def keep_best(self, model: keras.Model) -> None:
        """Make `model` the best network of the run."""
        if self.job.process == 0:
            with _written(self.run.path):
                self._save(model, self.run.best)

    def _save(self, model: keras.Model, path: Path) -> None:
        with self.job.apart():
            config = self.run.config
            save_model(model, path, config["classes"], self.preprocessing, config.get("task"))


@contextmanager
def _written(directory: Path) -> Iterator[None]:
    """Files are written inside, Ctrl-C or not; where that fails, one sentence says so.

    Raises:
        OSError: If it fails, such as on a full disk.
    """
    try:
        with uninterrupted():
            yield
    except (OSError, ValueError) as error:  # of `replace_file` and of `save_model`
        raise OSError(
            getattr(error, "errno", None),
            f"a file of {str(directory)!r} could not be written ({checks.first_line(error)}): make "
            "room, then go on with `resume`",
        ) from None


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
