"""What looks after a training in every step: a beat for the watchdog, and SIGTERM."""

import sys
from typing import Any

import keras

from keras_bottleneck.distribution.ending import REMEDY, TERMINATED
from keras_bottleneck.distribution.shared import SharedCheckpoints
from keras_bottleneck.distribution.watchdog import Watchdog


class Guard(keras.callbacks.Callback):
    """Tells the watchdog of every step, and stops all processes behind the same one on SIGTERM.

    jax takes SIGTERM for the notice that a machine will be taken away, and swallows it: it tells
    all processes behind which step they should stop.

    Args:
        watchdog: Who is told.
        step_s: How long a step may take, in seconds.
        pause_s: How long it may take where functions are compiled or data begin anew, in seconds.
        steps: In an epoch.
        checkpoints: Those of the training; None for none.
    """

    def __init__(
        self,
        watchdog: Watchdog,
        step_s: float,
        pause_s: float,
        steps: int,
        checkpoints: SharedCheckpoints | None,
    ) -> None:
        super().__init__()
        self.watchdog, self.step_s, self.pause_s = watchdog, step_s, pause_s
        self.steps, self.checkpoints = steps, checkpoints
        self.epoch, self.done = 0, 0
        self.stopped_after = ""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._leave()
        self.epoch = epoch + 1
        self.watchdog.expect(f"the first step of epoch {self.epoch}", self.pause_s)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._leave()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        import jax
        from jax.experimental import multihost_utils

        # Keras passes over the error of a step whose loss cannot be read, and trains on.
        jax.block_until_ready(logs)
        if batch + 1 < self.steps:
            self.watchdog.expect(f"step {batch + 2} of epoch {self.epoch}", self.step_s)
        else:
            self.watchdog.expect(f"what follows epoch {self.epoch}", self.pause_s)
        self.done += 1
        if multihost_utils.reached_preemption_sync_point(self.done):
            self.stopped_after = f"step {batch + 1} of epoch {self.epoch}"
            if self.checkpoints is not None:
                self.checkpoints.hurry()  # it is written behind this callback

    def on_test_begin(self, logs: Any = None) -> None:
        self.watchdog.expect(f"the validation of epoch {self.epoch}", self.pause_s)

    def on_test_end(self, logs: Any = None) -> None:
        self.watchdog.expect(f"what follows epoch {self.epoch}", self.pause_s)

    def on_train_end(self, logs: Any = None) -> None:
        self.watchdog.rest()

    def _leave(self) -> None:
        """Ends the program where it has been asked to, now that a checkpoint is written."""
        if self.stopped_after:
            self.watchdog.rest()
            where = f"{self.watchdog.who}: stopped by SIGTERM after {self.stopped_after}"
            print(f"{where}, as all processes; {REMEDY}", file=sys.stderr)
            raise SystemExit(TERMINATED)
