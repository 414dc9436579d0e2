"""The training loop: every training of this package is a list of phases for it."""

import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import keras

from keras_bottleneck.checks import boolean, reject
from keras_bottleneck.data.batches import as_batches, check_validation, lost_its_place, steps_in
from keras_bottleneck.tasks import CLASSIFICATION, REGRESSION
from keras_bottleneck.training.checkpoints import Checkpoints, as_checkpoints
from keras_bottleneck.training.class_weights import weights_for
from keras_bottleneck.training.health import HealthCheck
from keras_bottleneck.training.inputs import check_data
from keras_bottleneck.training.objectives import check_head
from keras_bottleneck.training.outputs import head_of
from keras_bottleneck.training.progress import Progress, fit
from keras_bottleneck.training.symptoms import copies

MONITORS = ("val_loss", "val_accuracy")


class Phase(NamedTuple):
    """A part of a training, with an optimizer and a schedule of its own.

    Attributes:
        epochs: Its passes over the training data.
        compile: Compiles the model for it; returns the callbacks that it needs.
    """

    epochs: int
    compile: Callable[[], list[keras.callbacks.Callback]]


class Plan(Protocol):
    """What the loop asks of a recipe; `Recipe` describes the attributes."""

    @property
    def batch_size(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def seed(self) -> int | None: ...
    @property
    def monitor(self) -> str: ...
    @property
    def task(self) -> str | None: ...
    @property
    def class_weights(self) -> str | Mapping[Any, float] | None: ...
    @property
    def patience(self) -> int | None: ...

    def plan(
        self,
        model: keras.Model,
        train: Any,
        steps_per_epoch: int,
        task: str,
        class_weights: Sequence[float] | None,
    ) -> list[Phase]:
        """The phases of a training of `model`."""


class Standing(NamedTuple):
    """Where a training stands that is lengthened.

    Attributes:
        epochs: That are done; those of the data and of the history go on from there.
        best: The value of `monitor` with the weights that the model comes with.
    """

    epochs: int
    best: float


def train(
    recipe: Plan,
    model: keras.Model,
    train: Any,
    validation: Any = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    steps_per_epoch: int | None = None,
    checkpoints: Checkpoints | str | os.PathLike[str] | None = None,
    deterministic: bool | None = None,
    keep_best: Callable[[keras.Model], None] | None = None,
    standing: Standing | None = None,
) -> keras.callbacks.History:
    """Trains `model`, in place, phase after phase; with validation data its best weights remain.

    Args:
        recipe: How.
        model: See `Recipe.compile`.
        train: See `Recipe.fit`, as all that follows but for the last two.
        validation: Data for the validation after every epoch; None for none.
        callbacks: Run in each phase, after those of the loop and of the phase.
        steps_per_epoch: Needed where `train` does not know its length.
        checkpoints: A folder, or `Checkpoints` in one, to go on from; None for none.
        deterministic: Whether TensorFlow computes deterministically; None for True where there are
            checkpoints.
        keep_best: Called with the model whenever it has been validated as the best so far, while
            the weights that were validated are in it.
        standing: Where the training stands that this one lengthens; None for a new one.

    Returns:
        Keras's history of all phases.

    Raises:
        ValueError: As `Recipe.fit`.
    """
    if deterministic is not None:
        boolean("deterministic", deterministic)
    progress = Progress(as_checkpoints(checkpoints), standing.epochs if standing else 0)
    seed = progress.seed(recipe.seed)
    train, validation = as_batches(train, validation, recipe.batch_size, seed)
    check_validation(validation)
    steps = steps_in(train, steps_per_epoch)
    first, task = check_data(model, train, validation, task=recipe.task)
    check_head(model, task)
    health = HealthCheck(first)
    if task == REGRESSION and recipe.monitor != "val_loss":
        raise reject("monitor", recipe.monitor, "'val_loss' for a regression")
    weights = None
    if task == CLASSIFICATION:
        weights = weights_for(recipe.class_weights, train, head_of(model).classes)
    elif recipe.class_weights is not None:
        raise reject("class_weights", recipe.class_weights, f"None for {task}")
    if deterministic is None:
        deterministic = progress.checkpoints is not None
    if progress.checkpoints and lost_its_place(train):
        warnings.warn(
            "`train` is a dataset of keras_bottleneck.data behind `map`, `batch` or the like, and "
            "has another order whenever it is read: a training that is taken up from "
            "`checkpoints` does not end with the very weights of an uninterrupted one. Pass the "
            "dataset itself, and give `image_folder` the batch size and the augmentations.",
            stacklevel=3,  # the caller of `Recipe.fit`
        )
    progress.plan(recipe, model, train, steps, seed, deterministic)
    phases = recipe.plan(model, train, steps, task, weights)
    if deterministic and keras.config.backend() == "tensorflow":
        compute_deterministically()
        if progress.checkpoints:
            print(
                "TensorFlow computes deterministically from now on, so that this training can be "
                "taken up exactly (`deterministic=False` is faster on a GPU)."
            )
    best = None
    if validation is not None:
        best = _BestWeights(model, recipe.monitor, recipe.patience, health, keep_best)
        if standing is not None:
            best.best = best.sign * standing.best

    for number, phase in enumerate(phases):
        if number < progress.phase:
            continue
        compiled = phase.compile()
        if progress.enter(number) and best:
            best.waited = 0
        # A running average of the weights is in the model between `best` and those behind it.
        own = [health, *compiled] if best is None else [health, best, *compiled]
        fit(model, train, validation, phase.epochs, [*own, *callbacks], progress)
    health.check()
    if best and not best.exists:
        raise ValueError(
            "`recipe` must have a lower learning rate, because the loss was finite in no "
            "validation; the model has the weights that it came with. Received: learning_rate="
            f"{recipe.learning_rate:g}"
        )
    return progress


def compute_deterministically() -> None:
    """Makes TensorFlow compute the same bits in every run, from now on and in this process.

    The other backends have no such switch, and need none on a CPU.
    """
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()


class _BestWeights(keras.callbacks.Callback):
    """Remembers the best weights of all phases, and ends a phase that has stopped improving.

    Until a validation has a finite loss, the best weights are those that the model came with.

    It looks at the end of the validation, not of the epoch: with a running average of the weights,
    those that were validated are in the model only until then. Where `health` has stopped the
    epoch, weights from before it are validated: they do not count.

    Args:
        model: Before its training.
        monitor: One of `MONITORS`.
        patience: How many validations without improvement end a phase; None for never.
        health: The health check of the training.
        keep: Called with the model when it is the best so far; None for nothing.
    """

    def __init__(
        self,
        model: keras.Model,
        monitor: str,
        patience: int | None,
        health: HealthCheck,
        keep: Callable[[keras.Model], None] | None,
    ) -> None:
        super().__init__()
        self.metric = monitor.removeprefix("val_")
        self.sign = 1.0 if self.metric == "loss" else -1.0
        self.patience, self.health, self.keep = patience, health, keep
        self.best = math.inf
        self.weights = copies(model.weights)
        self.waited = 0

    def on_test_end(self, logs: Any = None) -> None:
        if self.health.failure:
            return
        value = self.sign * float(logs[self.metric])
        # A network that answers NaN still has an accuracy.
        if value < self.best and math.isfinite(logs["loss"]):
            self.best, self.waited = value, 0
            self.weights = copies(self.model.weights)
            if self.keep is not None:
                self.keep(self.model)
            return
        self.waited += 1
        if self.waited == self.patience:
            self.model.stop_training = True

    def get_state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        arrays = {str(index): value for index, (_, value) in enumerate(self.weights)}
        return {**arrays, "best": self.best, "waited": self.waited}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `get_state` gave."""
        self.best, self.waited = state["best"], state["waited"]
        self.weights = [(one, state[str(index)]) for index, (one, _) in enumerate(self.weights)]

    @property
    def exists(self) -> bool:
        """Whether any validation had a finite loss."""
        return self.best < math.inf

    def on_train_end(self, logs: Any = None) -> None:
        """Put the best weights into the model, before callbacks behind this one see the end."""
        for variable, value in self.weights:
            variable.assign(value)
