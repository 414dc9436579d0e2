"""`Job`: the devices of all processes, which train one model together."""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from types import TracebackType
from typing import Any

import keras

from keras_bottleneck import checks, keras_private
from keras_bottleneck.data.batches import check_validation, steps_in
from keras_bottleneck.distribution.agreement import agree, meet
from keras_bottleneck.distribution.ending import (
    FAILED,
    INTERRUPTED,
    REMEDY,
    TERMINATED,
    TRY_AGAIN,
    DistributionError,
    leave_at_once,
    lost,
)
from keras_bottleneck.distribution.guard import Guard
from keras_bottleneck.distribution.parts import (
    ArrayPart,
    DividedBatches,
    OwnBatches,
    OwnStream,
    Part,
)
from keras_bottleneck.distribution.shared import SharedCheckpoints
from keras_bottleneck.distribution.watchdog import Watchdog
from keras_bottleneck.layers import BatchNormalization
from keras_bottleneck.training import Recipe
from keras_bottleneck.training.checkpoints import Checkpoints, as_checkpoints
from keras_bottleneck.training.state import is_mirrored


class Job:
    """The devices of all processes, which train one model together: see `initialize`.

    Inside of the `with` block, models are made on all devices. A batch is divided among them, and
    everything else is as on one device: batch norms see the whole batch, and the numbers differ
    from those of one device only by rounding.

    Attributes:
        processes: The number of processes.
        process: Which of them this is, from 0.
        devices: The number of devices of all processes together.
    """

    def __init__(
        self,
        part: Part,
        scope: Callable[[], AbstractContextManager[Any]],
        step_timeout_s: float,
        pause_timeout_s: float,
    ) -> None:
        self.process, self.processes, self.devices = part
        self._part, self._scope = part, scope
        self._step_s, self._pause_s = step_timeout_s, pause_timeout_s
        self._entered: ExitStack | None = None
        self._watchdog: Watchdog | None = None

    def __repr__(self) -> str:
        return f"<Job: {self.name}, {self.devices} devices in all>"

    @property
    def name(self) -> str:
        """What this process is called."""
        return f"process {self.process} of {self.processes}"

    def __enter__(self) -> "Job":
        self._entered = ExitStack()
        self._entered.enter_context(self._scope())
        if self.processes > 1:
            self._watchdog = Watchdog(self.name)
            self._entered.callback(self._watchdog.stop)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._entered is not None
        self._entered.close()
        self._entered = self._watchdog = None
        if self.processes == 1 or error is None:
            return
        failure = lost(error)
        if failure is not None:
            leave_at_once(TRY_AGAIN)
            message = f"{self.name}: another process has ended ({failure})"
            raise DistributionError(f"{message}; {REMEDY}") from None
        _leave_with(error)

    def fit(
        self,
        recipe: Recipe,
        model: keras.Model,
        train: Any,
        validation: Any = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        steps_per_epoch: int | None = None,
        checkpoints: Checkpoints | str | os.PathLike[str] | None = None,
        deterministic: bool | None = None,
    ) -> keras.callbacks.History:
        """Trains `model` with `recipe` on all devices; every process calls it in the same way.

        Arrays must be the same on all processes, and each takes its rows of every batch:
        `recipe.batch_size` is that of the whole job, and the training is that of one device. What
        does not fill a batch is left to another epoch, and up to `devices - 1` samples are left
        out of the validation.

        A dataset holds the samples of this process alone, such as every n-th file, in batches of
        one size. Every process trains as many steps as the one with the fewest.

        Args:
            recipe: With a seed, where there are several processes.
            model: Made inside of the `with` block.
            train: (images, labels) arrays, or a dataset, as for `Recipe.fit`.
            validation: The same; None for none.
            callbacks: As for `Recipe.fit`, the same on every process; one that writes files does
                so on process 0, inside of `with job.apart():`.
            steps_per_epoch: As for `Recipe.fit`.
            checkpoints: As for `Recipe.fit`; in a folder that all processes see, into which
                process 0 writes. SIGTERM to any process then adds one, and ends all of them.
            deterministic: As for `Recipe.fit`.

        Returns:
            Keras's history, the same on every process.

        Raises:
            ValueError: As `Recipe.fit`; the devices do not divide a batch; batches of a dataset
                differ in size, or end too early; the model is not one of this job, or holds batch
                norms that would see a part of the batch only.
            DistributionError: If another process trains something else. If one has ended, the end
                of the `with` block raises it.

        Example:
            >>> with initialize() as job:  # doctest: +SKIP
            ...     model = ResNet20()
            ...     job.fit(Recipe(), model, (images, labels))
        """
        if self._entered is None:
            raise RuntimeError("`job.fit` must be called inside of `with job:`")
        self._check_model(model)
        train = self._part_of("train", train, recipe, steps_per_epoch)
        if validation is not None:
            validation = self._part_of("validation", validation, recipe, None)
        kept = as_checkpoints(checkpoints)
        with self.watched(recipe, train, validation, kept) as (shared, guards):
            steps = None if isinstance(train, OwnBatches) else steps_per_epoch
            callbacks = [*callbacks, *guards]
            return recipe.fit(model, train, validation, callbacks, steps, shared, deterministic)

    @contextmanager
    def watched(
        self, recipe: Recipe, train: Any, validation: Any, checkpoints: Checkpoints | None
    ) -> Iterator[tuple[Checkpoints | None, list[keras.callbacks.Callback]]]:
        """A block in which all processes train one model.

        Args:
            recipe: How.
            train: The part of this process.
            validation: The same; None for none.
            checkpoints: In a folder that all processes see; None for none.

        Returns:
            The checkpoints to train with, and callbacks that stand behind those of the recipe.

        Raises:
            DistributionError: If another process trains something else.
        """
        if self._watchdog is None:
            yield checkpoints, []
            return
        shared = None if checkpoints is None else SharedCheckpoints(checkpoints, self.process)
        try:
            self._watchdog.expect("the agreement on what is trained", self._pause_s)
            agree(recipe, train, validation)
            steps = steps_in(train)
            yield shared, [Guard(self._watchdog, self._step_s, self._pause_s, steps, shared)]
            self._watchdog.expect("the end of the training", self._pause_s)
            meet()
        finally:
            self._watchdog.rest()

    @contextmanager
    def apart(self) -> Iterator[None]:
        """A block in which this process works alone, such as on a file.

        Inside of `with job:`, whatever makes a variable (on JAX even `model.save` does) waits until
        all other processes make it, too. In this block, it does not wait.
        """
        if keras.config.backend() != "jax":
            yield
            return
        before = keras.distribution.distribution()
        keras.distribution.set_distribution(None)
        try:
            yield
        finally:
            keras.distribution.set_distribution(before)

    def divided(self, dataset: Any, batch_size: int, samples: int, *, whole: bool) -> Any:
        """The rows of this process of each batch of a dataset that all processes read alike.

        Args:
            dataset: Made by `keras_bottleneck.data`; None for none.
            batch_size: Of the dataset.
            samples: In the dataset.
            whole: Whether a last batch that is smaller is left out, as in trainings.

        Returns:
            A dataset; where TensorFlow divides the batches, the one that was given.
        """
        if dataset is None or self.devices == 1 or keras.config.backend() == "tensorflow":
            return dataset
        return DividedBatches(dataset, batch_size, samples, self._part, whole=whole)

    def _part_of(self, name: str, data: Any, recipe: Recipe, steps_per_epoch: int | None) -> Any:
        """What this process reads of `data`."""
        if isinstance(data, (tuple, list)):
            if recipe.seed is None and self.processes > 1:
                raise checks.reject("recipe.seed", None, "a number where there are many processes")
            whole = name == "train"
            return ArrayPart(data, recipe.batch_size, recipe.seed, self._part, whole=whole)
        if self.processes == 1:
            return data
        if name == "validation":
            check_validation(data)
        steps = steps_in(data, steps_per_epoch)
        kind = OwnStream if isinstance(data, Iterator) else OwnBatches
        return kind(name, data, steps, steps_per_epoch is not None, self._part)

    def _check_model(self, model: keras.Model) -> None:
        """Refuses a model that was not made on all devices, or whose batch norms see one only."""
        on_jax = keras.config.backend() == "jax"
        if not (_spread(model, self.devices) if on_jax else is_mirrored(model)):
            raise checks.reject("model", model.name, "made inside of `with job:`")
        if on_jax or self.devices == 1:
            return  # JAX computes with whole batches
        for layer in keras_private.sublayers(model):
            if isinstance(layer, keras.layers.BatchNormalization) and not (
                isinstance(layer, BatchNormalization) or layer.synchronized
            ):
                accepted = "one whose batch norms see all devices: set `synchronized=True` on them"
                raise checks.reject("model", layer.name, accepted)


def _spread(model: keras.Model, devices: int) -> bool:
    return all(len(variable.value.sharding.device_set) == devices for variable in model.variables)


def _leave_with(error: BaseException) -> None:
    """Makes sure that the program ends now that one process is out of step."""
    if isinstance(error, SystemExit) and error.code == TERMINATED:
        return  # all processes end together
    if isinstance(error, KeyboardInterrupt):
        leave_at_once(INTERRUPTED)
    else:
        leave_at_once(TRY_AGAIN if isinstance(error, DistributionError) else FAILED)


ALONE = Job(Part(0, 1, 1), nullcontext, math.inf, math.inf)
"""The one device that Keras takes where nobody asks for more."""
