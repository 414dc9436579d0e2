"""Fine-tuning: the head first, then stage after stage from the top."""

import dataclasses
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_bottleneck.checks import integer, number, one_of, reject
from keras_bottleneck.training.arrays import as_batches
from keras_bottleneck.training.batch_norm import (
    batch_norms,
    recalibrate_batch_norm,
    warn_of_momentum,
)
from keras_bottleneck.training.checkpoints import Checkpoints, as_checkpoints
from keras_bottleneck.training.freezing import thaw
from keras_bottleneck.training.health import HealthCheck
from keras_bottleneck.training.inputs import check_data
from keras_bottleneck.training.rates import StagedAdam, StagedSGD
from keras_bottleneck.training.recipe import Recipe
from keras_bottleneck.training.resuming import Progress, fit
from keras_bottleneck.training.stages import Parts, parts
from keras_bottleneck.training.steps import check_validation, steps_in
from keras_bottleneck.training.streams import beginning
from keras_bottleneck.training.symptoms import copies

BATCH_NORM = ("frozen", "trained", "recalibrated")
MONITORS = ("val_loss", "val_accuracy")


@dataclass(frozen=True)
class FineTune(Recipe):
    """How to fine-tune a classifier: a `Recipe`, and what is trained when.

    Training goes in phases. The first one trains the head alone, each further one also the next
    stage from the top, at a lower rate the nearer it is to the input. Every phase has the warm-up
    and the cosine of `Recipe`, and starts from the best weights so far. (`fit` is one phase, at
    the same rates, of whatever is trainable.)

    Source: Howard & Ruder 2018, "Universal Language Model Fine-tuning for Text Classification",
    section 3 (discriminative rates, gradual unfreezing).

    Args:
        epochs: Of the last phase, in which all stages that are trained at all are trained.
        head_epochs: Of the first phase; 0 to begin with the topmost stage.
        stage_epochs: Of each phase in between; 0 for none in between.
        stages: How many stages are trained, counted from the top; None for all, 0 for the head
            alone. `training.parts(model)` lists them.
        stage_rate: Learning rate of a stage as a share of that of the one behind it, in (0, 1];
            the head has `learning_rate`.
        batch_norm: Of the stages; those of the head are always trained. "frozen" keeps the
            statistics, gamma and beta, and normalizes as at inference: right for little data and
            small batches, and for weights whose batch norms were folded away. "trained" is usual
            training. "recalibrated" is training, with
            statistics that are estimated anew, in all stages, before each validation: see
            `recalibrate_batch_norm`.
        patience: A phase ends after so many validations without improvement; None for never.
        monitor: What tells the best weights: "val_loss" or "val_accuracy".

    The other arguments are those of `Recipe`.

    Raises:
        ValueError: If a field is outside what is described above.

    Example:
        >>> FineTune(epochs=5, stages=2, stage_rate=0.3).batch_norm
        'frozen'
    """

    head_epochs: int = 2
    stage_epochs: int = 1
    stages: int | None = None
    stage_rate: float = 0.5
    batch_norm: str = "frozen"
    patience: int | None = 3
    monitor: str = "val_loss"

    def __post_init__(self) -> None:
        super().__post_init__()
        integer("head_epochs", self.head_epochs, minimum=0)
        integer("stage_epochs", self.stage_epochs, minimum=0)
        if self.stages is not None:
            integer("stages", self.stages, minimum=0)
        number("stage_rate", self.stage_rate, maximum=1.0, above=True)
        one_of("batch_norm", self.batch_norm, BATCH_NORM)
        if self.patience is not None:
            integer("patience", self.patience)
        one_of("monitor", self.monitor, MONITORS)

    def phases(self, stages: int) -> list[tuple[int, int]]:
        """(stages that are trained, epochs) of each phase.

        Args:
            stages: How many the model has.

        Raises:
            ValueError: If it has fewer than `self.stages`.

        Example:
            >>> FineTune(epochs=10).phases(3)
            [(0, 2), (1, 1), (2, 1), (3, 10)]
        """
        if self.stages is not None and self.stages > stages:
            raise reject("stages", self.stages, f"None or at most the {stages} of this model")
        last = stages if self.stages is None else self.stages
        before = [(0, self.head_epochs), *((stage, self.stage_epochs) for stage in range(1, last))]
        return [phase for phase in before[:last] if phase[1]] + [(last, self.epochs)]

    def rates(self, model: keras.Model) -> list[float]:
        """The factor on the learning rate of each of `model.trainable_variables`."""
        factors = {
            id(variable): self.stage_rate**distance
            for distance, stage in enumerate(reversed(parts(model).stages), start=1)
            for layer in stage.layers
            for variable in layer.variables
        }
        return [factors.get(id(variable), 1.0) for variable in model.trainable_variables]

    def _with_rates(
        self, model: keras.Model, settings: dict[str, Any]
    ) -> keras.optimizers.Optimizer:
        kind = StagedSGD if self.optimizer == "sgd" else StagedAdam
        return kind(self.rates(model), **settings)


def finetune(
    model: keras.Model,
    train: Any,
    validation: Any = None,
    recipe: Recipe | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    steps_per_epoch: int | None = None,
    checkpoints: Checkpoints | str | os.PathLike[str] | None = None,
) -> keras.callbacks.History:
    """Trains the head of `model`, then its stages from the top, in place; the best weights remain.

    Afterwards the model is compiled, and frozen where the last phase had it frozen
    (`freeze(model, None)` thaws it).

    Args:
        model: A functional or Sequential classifier, (batch, classes), whose stages have trained
            weights; it may hold the backbone as a nested model.
        train: (images, labels) arrays, or batches of both, as for `Recipe.fit`.
        validation: The same, but for a generator. None for no validation: no phase ends early, and
            the last weights remain.
        recipe: A `FineTune`; a plain `Recipe` gets the defaults of the rest. None for
            `FineTune()`.
        callbacks: Run in each phase, after those of this function.
        steps_per_epoch: Needed where `train` does not know its length.
        checkpoints: A folder to go on from after the process was killed, as for `Recipe.fit`.

    Returns:
        Keras's history of all phases in one.

    Raises:
        ValueError: As `Recipe.fit`; `recipe` asks for more stages than there are; `train` can be
            read only once, and batch norm is to be recalibrated with it; or the loss was finite in
            no validation, after which the model has the weights that it came with.

    Example:
        >>> recipe = FineTune(epochs=5, batch_norm="recalibrated")
        >>> history = finetune(model, (images, labels), validation, recipe)  # doctest: +SKIP
    """
    recipe = _fine_tune(recipe)
    progress = Progress(as_checkpoints(checkpoints))
    seed = progress.seed(recipe.seed)
    train, validation = as_batches(train, validation, recipe.batch_size, seed)
    check_validation(validation)
    steps = steps_in(train, steps_per_epoch)
    health = HealthCheck(check_data(model, train, validation))
    progress.plan(recipe, model, train, steps, seed)
    found = parts(model)
    phases = recipe.phases(len(found.stages))
    best = None if validation is None else _BestWeights(model, recipe, health)
    estimate = _Recalibration(train, steps) if recipe.batch_norm == "recalibrated" else None
    if not estimate:
        _warn_of_momentum(recipe, found, phases, steps)
    elif not progress.found:
        # The first phase trains the head on features as they will be validated.
        estimate.estimate(model)

    for phase, (stages, epochs) in enumerate(phases):
        if phase < progress.phase:
            continue
        train_top(model, found, stages, recipe.batch_norm)
        compiled = dataclasses.replace(recipe, epochs=epochs).compile(model, steps)
        # The average of the weights is in the model between the first two.
        inner = [one for one in (health, best, *compiled, estimate) if one is not None]
        if progress.enter(phase) and best:
            best.waited = 0
        fit(model, train, validation, epochs, [*inner, *callbacks], progress)
        if estimate and validation is None:
            estimate.estimate(model)
        if best:
            best.restore()
    if best and not best.found:
        raise ValueError(
            "`recipe` must have a lower learning rate, because the loss was finite in no "
            "validation; the model has the weights that it came with. Received: learning_rate="
            f"{recipe.learning_rate:g}"
        )
    health.check()
    return progress


def _warn_of_momentum(
    recipe: FineTune, found: Parts, phases: list[tuple[int, int]], steps: int
) -> None:
    """Warns of batch norms that are trained for too few steps: in the head, and in the stages."""
    warn_of_momentum(found.head, sum(epochs for _, epochs in phases) * steps)
    if recipe.batch_norm == "trained":
        stages, epochs = phases[-1]
        trained = found.stages[len(found.stages) - stages :]
        warn_of_momentum([layer for stage in trained for layer in stage.layers], epochs * steps)


def train_top(model: keras.Model, found: Parts, stages: int, batch_norm: str) -> None:
    """Makes the head and the last `stages` stages trainable, and freezes the others.

    Args:
        model: The whole model, which must be compiled again.
        found: Its parts.
        stages: How many to train, counted from the top.
        batch_norm: "frozen" also freezes the batch norms of those stages.
    """
    thaw(model)
    frozen = len(found.stages) - stages
    for index, stage in enumerate(found.stages):
        held = stage.layers if index < frozen else []
        if index >= frozen and batch_norm == "frozen":
            held = batch_norms(stage.layers)
        for layer in held:
            layer.trainable = False


def _fine_tune(recipe: Any) -> FineTune:
    if recipe is None:
        return FineTune()
    if isinstance(recipe, FineTune):
        return recipe
    if isinstance(recipe, Recipe):
        return FineTune(**dataclasses.asdict(recipe))
    raise reject("recipe", recipe, "a FineTune, a Recipe or None")


class _Recalibration(keras.callbacks.Callback):
    """Estimates all batch norms anew before each validation."""

    def __init__(self, train: Any, steps: int) -> None:
        super().__init__()
        if isinstance(train, Iterator):
            raise ValueError(
                '`train` must be data that can be read again for batch_norm="recalibrated". '
                f"Received: a {type(train).__name__}"
            )
        self.train, self.steps = train, steps

    def on_test_begin(self, logs: Any = None) -> None:
        self.estimate(self.model)

    def estimate(self, model: keras.Model) -> None:
        """Estimate those of a model from one pass over the data."""
        recalibrate_batch_norm(model, beginning(self.train), steps=self.steps)


class _BestWeights(keras.callbacks.Callback):
    """Remembers the best weights of all phases, and ends a phase that has stopped improving.

    Until a validation has a finite loss, the best are those that the model came with.

    It looks at the end of the validation, not of the epoch: with a running average of the weights,
    those that were validated are in the model only until then. Where `health` has stopped the
    epoch, it is weights from before that are validated: they do not count.
    """

    def __init__(self, model: keras.Model, recipe: FineTune, health: HealthCheck) -> None:
        super().__init__()
        self.metric = recipe.monitor.removeprefix("val_")
        self.sign = 1.0 if self.metric == "loss" else -1.0
        self.patience, self.health = recipe.patience, health
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
    def found(self) -> bool:
        """Whether any validation had a finite loss."""
        return self.best < math.inf

    def restore(self) -> None:
        """Put the best weights into the model."""
        for variable, value in self.weights:
            variable.assign(value)
