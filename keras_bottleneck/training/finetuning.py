"""Fine-tuning: the head first, then stage after stage from the top."""

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras

from keras_bottleneck.checks import integer, number, one_of, reject
from keras_bottleneck.data.streams import beginning
from keras_bottleneck.training import loop
from keras_bottleneck.training.batch_norm import (
    batch_norms,
    recalibrate_batch_norm,
    warn_of_momentum,
)
from keras_bottleneck.training.checkpoints import Checkpoints
from keras_bottleneck.training.freezing import thaw
from keras_bottleneck.training.rates import StagedAdam, StagedLion, StagedMuon, StagedSGD
from keras_bottleneck.training.recipe import Recipe
from keras_bottleneck.training.stages import Parts, parts

BATCH_NORM = ("frozen", "trained", "recalibrated")
STAGED = {
    "adamw": StagedAdam,
    "sgd": StagedSGD,
    "adam": StagedAdam,
    "lion": StagedLion,
    "muon": StagedMuon,
}


@dataclass(frozen=True)
class FineTune(Recipe):
    """How to fine-tune a classifier: a `Recipe`, and what is trained when.

    Training goes in phases. The first one trains the head alone, each further one also the next
    stage from the top, at a lower rate the nearer it is to the input. Every phase has the warm-up
    and the cosine of `Recipe`, and starts from the best weights so far. (`compile` and a `fit` of
    one's own train whatever is trainable, at the same rates, in a single phase.)

    Source: Howard & Ruder 2018, "Universal Language Model Fine-tuning for Text Classification",
    section 3 (discriminative rates, gradual unfreezing).

    Args:
        epochs: Passes over the training data in the last phase, in which all stages that are
            trained at all are trained.
        head_epochs: Passes in the first phase, which trains the head alone; 0 to begin with the
            topmost stage.
        stage_epochs: Passes in each phase between the first and the last; 0 for no phases between.
        stages: How many stages are trained, counted from the top; None for all, 0 for the head
            alone. `training.parts(model)` lists them.
        stage_rate: Learning rate of a stage as a share of that of the stage behind it, in (0, 1];
            the head has the whole learning rate.
        batch_norm: What the batch norms of the stages do; those of the head are always trained.
            "frozen" keeps the statistics, gamma and beta, and normalizes as at inference: right for
            little data and small batches, and for weights whose batch norms were folded away.
            "trained" is usual training. "recalibrated" is training with statistics that are
            estimated anew, in all stages, before each validation, as
            `training.recalibrate_batch_norm` does.
        patience: Validations without improvement that end a phase; None for any number of them.

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

    def __post_init__(self) -> None:
        super().__post_init__()
        integer("head_epochs", self.head_epochs, minimum=0)
        integer("stage_epochs", self.stage_epochs, minimum=0)
        if self.stages is not None:
            integer("stages", self.stages, minimum=0)
        number("stage_rate", self.stage_rate, maximum=1.0, above=True)
        one_of("batch_norm", self.batch_norm, BATCH_NORM)

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

    def plan(
        self,
        model: keras.Model,
        train: Any,
        steps_per_epoch: int,
        task: str,
        class_weights: Sequence[float] | None,
    ) -> list[loop.Phase]:
        """What `finetune` goes through: the `phases` of `model`.

        Args:
            model: As for `compile`.
            train: The training data, as batches.
            steps_per_epoch: Batches per epoch.
            task: As for `compile`.
            class_weights: As for `compile`.

        Raises:
            ValueError: As `phases`; or `train` can be read only once, and batch norm is to be
                recalibrated with it.
        """
        found = parts(model)
        phases = self.phases(len(found.stages))
        callbacks: list[keras.callbacks.Callback] = []
        if self.batch_norm == "recalibrated":
            callbacks = [_Recalibration(train, steps_per_epoch)]
        else:
            _warn_of_momentum(self, found, phases, steps_per_epoch)

        def compiled(stages: int, epochs: int) -> list[keras.callbacks.Callback]:
            train_top(model, found, stages, self.batch_norm)
            phase = dataclasses.replace(self, epochs=epochs)
            compiling = phase.compile(model, steps_per_epoch, task, class_weights)
            return [*compiling, *callbacks]

        return [loop.Phase(epochs, partial(compiled, stages, epochs)) for stages, epochs in phases]

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
        return STAGED[self.optimizer](self.rates(model), **settings)


def finetune(
    model: keras.Model,
    train: Any,
    validation: Any = None,
    recipe: Recipe | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    steps_per_epoch: int | None = None,
    checkpoints: Checkpoints | str | os.PathLike[str] | None = None,
    deterministic: bool | None = None,
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
        deterministic: As for `Recipe.fit`.

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
    return loop.train(
        _fine_tune(recipe),
        model,
        train,
        validation,
        callbacks,
        steps_per_epoch,
        checkpoints,
        deterministic,
    )


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
    """Estimates all batch norms anew: before the training, and whenever it has got on.

    Before, because the first phase trains the head on features as they will be validated; then
    before each validation, and at the end of a phase that has none.
    """

    def __init__(self, train: Any, steps: int) -> None:
        super().__init__()
        if isinstance(train, Iterator):
            raise ValueError(
                '`train` must be data that can be read again for batch_norm="recalibrated". '
                f"Received: a {type(train).__name__}"
            )
        self.train, self.steps = train, steps
        self.begun = self.validated = False

    def get_state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"begun": self.begun, "validated": self.validated}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `get_state` gave."""
        self.begun, self.validated = state["begun"], state["validated"]

    def on_train_begin(self, logs: Any = None) -> None:
        if not self.begun:
            self.begun = True
            self._estimate()

    def on_test_begin(self, logs: Any = None) -> None:
        self.validated = True
        self._estimate()

    def on_train_end(self, logs: Any = None) -> None:
        if not self.validated:
            self._estimate()

    def _estimate(self) -> None:
        recalibrate_batch_norm(self.model, beginning(self.train), steps=self.steps)
