"""`fit` that can be killed: how far a training is, and how it goes on from there."""

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence, Sized
from typing import Any

import keras
import numpy as np

from keras_bottleneck import checks
from keras_bottleneck.console import verbosity
from keras_bottleneck.data.batches import ArrayBatches, Resumable, drawn_seed, is_tf_data
from keras_bottleneck.data.streams import Stream
from keras_bottleneck.training.checkpoints import Checkpoint, Checkpoints
from keras_bottleneck.training.state import build_metrics, set_state, shapes_of, state_of

# Of the facts in a checkpoint; format 1 knew nothing of the best weights of a plain recipe.
FORMAT = 2


class Progress(keras.callbacks.History):
    """How far a training is, which it writes into checkpoints; at its end, the history of `fit`.

    A checkpoint holds `state_of` the model, how far the training is, its history, and the state of
    those callbacks that have a `get_state()`, which returns a dict of arrays and of what JSON can
    hold, and a `set_state(dict)`. A state with NaN, or a loss that is not finite, is not written.

    Args:
        checkpoints: Where to; None writes nothing, and begins anew.
        before: Epochs of the training that this one lengthens.

    Attributes:
        done: Epochs that are finished.
        step: Steps of the next epoch that are finished.
        phase: Part of the training that it is in.
        phase_began: Epochs that were finished when the phase began.
        stopped: Whether the phase ended before its last epoch.

    Raises:
        ValueError: If all checkpoints are damaged.
    """

    def __init__(self, checkpoints: Checkpoints | None, before: int = 0) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []
        self.checkpoints = checkpoints
        self.found = checkpoints.newest() if checkpoints else None
        self.training: dict[str, Any] = {}
        self.before = before
        self.done, self.step, self.steps = before, 0, 0
        self.phase, self.phase_began, self.stopped = -1, 0, False
        self.kept: list[Any] = []
        self.metrics: Mapping[str, np.ndarray] = {}
        self.raw: Mapping[str, np.ndarray] = {}
        self.skipped = 0
        self.stream: Stream | None = None
        self.written = time.monotonic()

    def seed(self, asked: int | None) -> int:
        """The seed of the order: what was `asked` for, or has been drawn in the beginning."""
        if asked is None and self.found:
            return int(self.found.facts["training"]["order"])
        return drawn_seed() if asked is None else asked

    def plan(
        self,
        recipe: Any,
        model: keras.Model,
        train: Any,
        steps: int,
        seed: int,
        deterministic: bool,
    ) -> None:
        """Note what is going to be trained, before it is.

        Args:
            recipe: A `Recipe`.
            model: As it will be trained.
            train: Its data.
            steps: In an epoch.
            seed: Of the order of arrays.
            deterministic: Whether the backend computes deterministically.

        Raises:
            ValueError: If the checkpoints are those of another training.
        """
        self.steps = steps
        self.training = {
            "recipe": type(recipe).__name__,
            **dataclasses.asdict(recipe),
            "order": seed,
            "steps": steps,
            "samples": len(train.labels) if isinstance(train, ArrayBatches) else None,
            "deterministic": deterministic,
            "backend": keras.config.backend(),
            "model": shapes_of(model),
        }
        if self.checkpoints and self.found:
            _check_same(self.checkpoints, self.found, self.training)
            self._take_over(self.found.facts)

    def enter(self, phase: int) -> bool:
        """Begin a phase of the training; False where it had begun when the training was killed."""
        if phase == self.phase:
            return False
        self.phase, self.phase_began, self.stopped = phase, self.done, False
        return True

    def take_up(self, model: keras.Model, callbacks: Sequence[Any]) -> None:
        """Give the model and the callbacks the state of the checkpoint, once.

        Args:
            model: Compiled as it was.
            callbacks: As many as there were.
        """
        self.kept = [one if hasattr(one, "get_state") else None for one in callbacks]
        if self.found is None:
            return
        states = self.found.facts["callbacks"]
        if sorted(states) != sorted(str(i) for i, one in enumerate(self.kept) if one is not None):
            raise ValueError(
                "`callbacks` must be those that the training was begun with, in the same order: "
                "some with a state are missing or new. Received: "
                f"{[type(one).__name__ for one in callbacks]}"
            )
        set_state(model, self.found.arrays)
        for index, state in states.items():
            start = f"callback{index}."
            arrays = {
                name.removeprefix(start): value
                for name, value in self.found.arrays.items()
                if name.startswith(start)
            }
            self.kept[int(index)].set_state({**state, **arrays})
        if self.step:
            build_metrics(model)
            self.metrics, self.skipped = self.found.arrays, self.step
        self.found = None

    @property
    def batches(self) -> int:
        """Training batches that are finished."""
        return self.done * self.steps + self.step

    def onwards(self, train: Any) -> Any:
        """The batches of `train` from where the training is, pass after pass without end.

        Data that are `Resumable` go there at once. Of everything else, the batches before are read
        and left out.
        """
        if isinstance(train, Resumable):
            return train.from_batch(self.batches)
        if self.stream is None:
            self.stream = Stream(train)
        return self.stream.from_batch(self.batches)

    def on_train_begin(self, logs: Any = None) -> None:
        """Keep what is there: Keras's history begins anew."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Let the metrics of an epoch that was interrupted go on."""
        if self.metrics:
            set_state(self.model, self.metrics, "metrics")
            self.metrics = {}

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.step = self.skipped + batch + 1
        if self.stream:
            self.stream.forget(self.batches)
        if self.step == self.steps or not self.checkpoints:
            return  # the end of the epoch follows
        if time.monotonic() - self.written >= self.checkpoints.every_s:
            self._write(logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_end(epoch, {name: float(value) for name, value in (logs or {}).items()})
        if self.skipped:
            self.raw = state_of(self.model)
        self.done, self.step, self.skipped = epoch + 1, 0, 0
        self.stopped = bool(self.model.stop_training)
        self._write(logs)

    def _write(self, logs: Any) -> None:
        if not self.checkpoints or not all(math.isfinite(value) for value in (logs or {}).values()):
            return
        arrays, states = state_of(self.model), {}
        if any(np.isnan(value).any() for value in arrays.values()):
            return  # a loss is that of the weights before the step
        for index, callback in enumerate(self.kept):
            if callback is not None:
                state = callback.get_state()
                held = {name: one for name, one in state.items() if isinstance(one, np.ndarray)}
                arrays |= {f"callback{index}.{name}": one for name, one in held.items()}
                states[index] = {name: one for name, one in state.items() if name not in held}
        facts = {
            "format": FORMAT,
            "training": self.training,
            "done": self.done,
            "step": self.step,
            "phase": self.phase,
            "phase_began": self.phase_began,
            "stopped": self.stopped,
            "history": self.history,
            "callbacks": states,
        }
        self.checkpoints.write(self.batches, arrays, facts)
        self.written = time.monotonic()

    def _take_over(self, facts: Mapping[str, Any]) -> None:
        self.done, self.step, self.phase = facts["done"], facts["step"], facts["phase"]
        self.phase_began, self.stopped = facts["phase_began"], facts["stopped"]
        self.history, self.epoch = facts["history"], list(range(self.before, self.done))


def fit(
    model: keras.Model,
    train: Any,
    validation: Any,
    epochs: int,
    callbacks: Sequence[keras.callbacks.Callback],
    progress: Progress,
) -> None:
    """Trains a compiled model for one phase, from where `progress` says that it is.

    An epoch that was interrupted is finished by a call of Keras's `fit` of its own.

    Args:
        model: Compiled as it was, where the training is taken up.
        train: `ArrayBatches` or another dataset.
        validation: The same; None for none.
        epochs: Of the whole phase.
        callbacks: In order.
        progress: Has entered the phase.
    """
    end = progress.phase_began + epochs
    progress.take_up(model, callbacks)
    joined = _Joined(
        [*callbacks, progress],
        add_progbar=True,
        model=model,
        verbose=verbosity(),
        epochs=end,
        steps=progress.steps,
    )
    if progress.step:
        _run(model, train, validation, progress.done + 1, joined, progress)
        if progress.done < end and not progress.stopped:
            set_state(model, progress.raw)  # Keras has put averages in the place of the weights
    elif progress.done == end or progress.stopped:
        joined.on_train_begin()
        model.optimizer.finalize_variable_values(model.trainable_weights)
    if progress.done < end and not progress.stopped:
        _run(model, train, validation, end, joined, progress)
    joined.end()


def _run(
    model: keras.Model,
    train: Any,
    validation: Any,
    end: int,
    callbacks: "_Joined",
    progress: Progress,
) -> None:
    """One call of Keras's `fit`, until `end` epochs are done."""
    steps: int | None = progress.steps - progress.step
    batches = train
    if progress.checkpoints or isinstance(train, Resumable):
        batches = progress.onwards(train)
    elif is_tf_data(train):
        batches = train.repeat().skip(progress.batches)
    elif isinstance(train, Sized) and len(train) == steps:
        steps = None  # else Keras reads ahead before `on_epoch_end` of a PyDataset
    callbacks.set_params({**callbacks.params, "steps": progress.steps - progress.step})
    model.fit(
        batches,
        initial_epoch=progress.done,
        epochs=end,
        steps_per_epoch=steps,
        validation_data=validation,
        shuffle=False,  # Keras would draw from the global random state
        callbacks=callbacks,
    )


class _Joined(keras.callbacks.CallbackList):
    """The callbacks of a training that may take two calls of `fit`, and begins and ends once."""

    begun = False
    logs: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        if not self.begun:
            self.begun = True
            super().on_train_begin(logs)

    def on_train_end(self, logs: Any = None) -> None:
        self.logs = logs

    def end(self) -> None:
        """The training is over."""
        super().on_train_end(self.logs)


def _check_same(checkpoints: Checkpoints, found: Checkpoint, training: Mapping[str, Any]) -> None:
    """Refuses checkpoints of another training."""
    if found.facts.get("format") != FORMAT:
        accepted = "a folder without checkpoints, or with those of this version of keras_bottleneck"
        raise checks.reject("checkpoints", str(checkpoints.folder), accepted)
    before = found.facts["training"]
    differing = [one for one in training if one not in before or before[one] != training[one]]
    if differing:
        name = differing[0]
        what = f"{name}={before.get(name)!r} instead of {training[name]!r}"
        if name == "model":
            what = "a model with other variables"
        raise ValueError(
            "`checkpoints` must be a folder without checkpoints, or with those of the same "
            f"training. Received: {str(checkpoints.folder)!r}, in which there is one of {what}"
        )
