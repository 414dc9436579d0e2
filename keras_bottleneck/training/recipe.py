"""A training recipe: the choices that turn a model and data into a trained model."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_bottleneck.checks import integer, number, one_of
from keras_bottleneck.tasks import checked_task
from keras_bottleneck.training import loop
from keras_bottleneck.training.checkpoints import Checkpoints
from keras_bottleneck.training.class_weights import checked_weights, weights_of
from keras_bottleneck.training.freezing import hold_preprocessing
from keras_bottleneck.training.objectives import REGRESSION_LOSSES, check_head, task_for
from keras_bottleneck.training.outputs import head_of
from keras_bottleneck.training.precision import set_mixed_precision
from keras_bottleneck.training.rates import StagedMuon
from keras_bottleneck.training.stages import parts

OPTIMIZERS = {
    "adamw": keras.optimizers.AdamW,
    "sgd": keras.optimizers.SGD,
    "adam": keras.optimizers.Adam,
    "lion": keras.optimizers.Lion,
    "muon": StagedMuon,
}
WITH_MOMENTUM = ("sgd", "muon")
PRECISIONS = (None, "mixed_bfloat16", "mixed_float16")


@dataclass(frozen=True)
class Recipe:
    """How to train a model: `Recipe(epochs=30).fit(model, train, validation)`.

    A classifier ends in a softmax, in one sigmoid (the probability of the second of two classes),
    or in a layer without activation (logits); a model of several labels for each image in as many
    sigmoids; a regression in as many columns as there are numbers to predict.

    A recipe only sets up Keras; `recipe.compile(model, steps)` followed by one's own `model.fit`
    does the same as `recipe.fit`, but for its `HealthCheck` and the best weights.

    Args:
        epochs: Passes over the training data.
        batch_size: Images per batch; datasets that come in batches keep theirs.
        optimizer: One of "adamw"; "sgd", with momentum; "adam"; "lion" (Chen et al. 2023); and
            "muon" (Jordan et al. 2024), which trains the kernels of the stages by Muon, the head
            and what has one axis by AdamW, at the same learning rate.
        learning_rate: Peak of the learning rate, reached after the warm-up; from there it falls to
            0 along a half cosine (Loshchilov & Hutter 2017). 1e-3 suits adamw and adam, and lion no
            more than that; muon takes about 1e-2, and sgd about 0.1 for 256 samples per batch.
        momentum: Momentum of "sgd" and "muon", in [0, 1).
        warmup_epochs: Epochs in which the learning rate rises from 0 (Goyal et al. 2017); half of
            all epochs at the most.
        weight_decay: Share of a weight that each step takes from it, times the learning rate
            (Loshchilov & Hutter 2019), whichever the optimizer: "adam" with a decay is "adamw".
            Variables with one axis (biases, gamma and beta of normalizations) do not decay.
        label_smoothing: Share of every label that is spread over all classes, in [0, 1).
        class_weights: Factors on the loss of the classes, in training and in validation:
            "balanced" for factors in inverse proportion to the number of images, or a mapping from
            class to factor (on the command line cat=2,dog=0.5), where other classes have 1; None
            for no factors.
        task: What the labels are: "classification", "multi-label" or "regression"; None for what
            the last activation and the labels tell.
        regression_loss: Loss of a regression: "mean_squared_error", or "huber" (Huber 1964), in
            which outliers count less.
        ema: Momentum of a running average of the weights, such as 0.999; None for no average. The
            average is what is validated and what the trained model has; a checkpoint amid the
            training holds the raw weights.
        mixed_precision: Precision to compute in, "mixed_bfloat16" or "mixed_float16" (with loss
            scaling), as `training.set_mixed_precision` sets it; None for that of the model.
        seed: Seed of the order of arrays; None for another order in every run. Datasets bring their
            own order; for dropout and fresh weights there is `keras.utils.set_random_seed`.
        monitor: Figure that tells the best weights: "val_loss" or, except of a regression,
            "val_accuracy".
        patience: Validations without improvement that end a phase of the training; None for any
            number of them.

    Raises:
        ValueError: If a field is outside what is described above.

    Example:
        >>> recipe = Recipe(epochs=3, warmup_epochs=0.5)
        >>> history = recipe.fit(model, (images, labels))  # doctest: +SKIP
    """

    epochs: int = 10
    batch_size: int = 32
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    warmup_epochs: float = 1.0
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    class_weights: str | Mapping[Any, float] | None = None
    task: str | None = None
    regression_loss: str = "mean_squared_error"
    ema: float | None = None
    mixed_precision: str | None = None
    seed: int | None = 0
    monitor: str = "val_loss"
    patience: int | None = None

    def __post_init__(self) -> None:
        integer("epochs", self.epochs)
        integer("batch_size", self.batch_size)
        one_of("optimizer", self.optimizer, tuple(OPTIMIZERS))
        number("learning_rate", self.learning_rate, above=True)
        number("momentum", self.momentum, maximum=1.0, below=True)
        number("warmup_epochs", self.warmup_epochs)
        number("weight_decay", self.weight_decay)
        number("label_smoothing", self.label_smoothing, maximum=1.0, below=True)
        # As JSON has them, in which runs and checkpoints keep recipes.
        object.__setattr__(self, "class_weights", checked_weights(self.class_weights))
        checked_task(self.task)
        one_of("regression_loss", self.regression_loss, tuple(REGRESSION_LOSSES))
        if self.ema is not None:
            number("ema", self.ema, maximum=1.0, above=True, below=True)
        one_of("mixed_precision", self.mixed_precision, PRECISIONS)
        if self.seed is not None:
            integer("seed", self.seed, minimum=0)
        one_of("monitor", self.monitor, loop.MONITORS)
        if self.patience is not None:
            integer("patience", self.patience)

    def schedule(self, steps_per_epoch: int) -> keras.optimizers.schedules.LearningRateSchedule:
        """The learning rate as a function of the step: 0, linearly up, half a cosine down to 0.

        Args:
            steps_per_epoch: Batches per epoch.
        """
        steps = self.epochs * integer("steps_per_epoch", steps_per_epoch)
        warmup = round(min(self.warmup_epochs * steps_per_epoch, steps / 2))
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup else self.learning_rate,
            decay_steps=steps - warmup,
            warmup_target=self.learning_rate if warmup else None,
            warmup_steps=warmup,
        )

    def compile(
        self,
        model: keras.Model,
        steps_per_epoch: int,
        task: str | None = None,
        class_weights: Sequence[float] | None = None,
    ) -> list[keras.callbacks.Callback]:
        """Compiles `model`, and sets its precision; returns the callbacks that `fit` then needs.

        The loss follows from the task and the last activation: whether it takes probabilities or
        logits. Preprocessing in the graph is frozen: it is never trained.

        Args:
            model: A built functional or Sequential model with one output, (batch, columns).
            steps_per_epoch: Batches per epoch.
            task: As the field; None for that, or for what the last activation tells: a single
                column without activation is a regression then, several are logits of classes.
            class_weights: Of each class, in the order of the outputs; None for the field, which
                then must be a mapping from indices or None.

        Raises:
            ValueError: If the model is something else, or ends in an activation that does not fit
                the task; or `class_weights` is "balanced", for which `fit` counts the labels.

        Example:
            >>> from keras_bottleneck.models import ResNet18
            >>> model = ResNet18(input_shape=(32, 32, 3), classes=10, stem="cifar")
            >>> callbacks = Recipe(ema=0.99).compile(model, steps_per_epoch=100)
            >>> model.fit(train, epochs=10, callbacks=callbacks)  # doctest: +SKIP
        """
        head = head_of(model)
        objective = check_head(model, task_for(model, task=task or self.task))
        if class_weights is None:
            class_weights = weights_of(self.class_weights, head.classes)
        loss = objective.loss(head, self.label_smoothing, class_weights, self.regression_loss)
        metric = objective.metric(head)
        if self.mixed_precision:
            set_mixed_precision(model, self.mixed_precision)
        hold_preprocessing(model)
        model.compile(self._optimizer(model, steps_per_epoch), loss=loss, metrics=[metric])
        return [keras.callbacks.SwapEMAWeights()] if self.ema else []

    def fit(
        self,
        model: keras.Model,
        train: Any,
        validation: Any = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        steps_per_epoch: int | None = None,
        checkpoints: Checkpoints | str | os.PathLike[str] | None = None,
        deterministic: bool | None = None,
    ) -> keras.callbacks.History:
        """Compiles and trains `model`, in place, with Keras's progress bar.

        With validation data, the model has the weights of the best epoch afterwards, by `monitor`;
        without, those of the last.

        Labels are integers (batch,) or rows (batch, classes) that sum to one; of several labels
        for an image, rows of 0 and 1; of a regression, rows of numbers, or (batch,) for a single
        one. They are checked against the model: arrays in full, datasets by their first batch.

        With `checkpoints`, a process that is killed at any moment loses nothing: the same call in
        a new one goes on where the last checkpoint was written, and ends with the very weights
        that an uninterrupted training on this machine ends with. That holds for arrays and for
        the datasets of `keras_bottleneck.data` with augmentations that have names. Other
        datasets are read again up to the batch in question, and have to give the same batches
        in every process; a dataset of `keras_bottleneck.data` behind `map`, `batch` and the like
        does not, which is warned of. Of `callbacks`, those with a `get_state()`, which returns a
        dict of arrays and of what JSON can hold, and a `set_state(dict)` are taken up, too; others
        begin anew. A finished training keeps its last checkpoint, from which the same call returns
        at once: save the model, then call `Checkpoints.clear`.

        Args:
            model: As for `compile`.
            train: (images, labels) arrays, or batches of both: a tf.data.Dataset, PyDataset,
                torch DataLoader or generator.
            validation: The same, but for a generator; None for no validation.
            callbacks: Run after the recipe's own.
            steps_per_epoch: Needed where `train` does not know its length.
            checkpoints: A folder, or `Checkpoints` in one, to go on from; None for none.
            deterministic: Whether TensorFlow computes the same bits in every run, for the rest of
                the process. On a GPU that can halve the speed, on a CPU it costs next to nothing;
                without it, a training that is taken up ends with weights of about the same
                quality, not with the very same. None for True with checkpoints. (XLA on the JAX
                backend takes `--xla_gpu_deterministic_ops` instead.)

        Returns:
            Keras's history of "loss", "accuracy" (of a regression "mae", the mean absolute error),
            and the same with `val_` before.

        Raises:
            ValueError: As `compile`; the length of `train` is unknown; `validation` cannot be read
                again after every epoch; batches hold no labels; these, or the range of the
                images, do not fit the model; `checkpoints` are those of another training; the loss
                was finite in no validation, or was lost before an epoch had ended well, after which
                the model has the weights that it came with.
        """
        return loop.train(
            self,
            model,
            train,
            validation,
            callbacks,
            steps_per_epoch,
            checkpoints,
            deterministic,
        )

    def plan(
        self,
        model: keras.Model,
        train: Any,
        steps_per_epoch: int,
        task: str,
        class_weights: Sequence[float] | None,
    ) -> list[loop.Phase]:
        """What `fit` goes through: a single phase, of all that is trainable.

        Args:
            model: As for `compile`.
            train: The training data, as batches.
            steps_per_epoch: Batches per epoch.
            task: As for `compile`.
            class_weights: As for `compile`.
        """

        def compiled() -> list[keras.callbacks.Callback]:
            return self.compile(model, steps_per_epoch, task, class_weights)

        return [loop.Phase(self.epochs, compiled)]

    def _optimizer(self, model: keras.Model, steps_per_epoch: int) -> keras.optimizers.Optimizer:
        settings: dict[str, Any] = {
            "learning_rate": self.schedule(steps_per_epoch),
            "weight_decay": self.weight_decay,
            "use_ema": self.ema is not None,
            "ema_momentum": 0.99 if self.ema is None else self.ema,
        }
        if self.optimizer in WITH_MOMENTUM:
            settings["momentum"] = self.momentum
        if self.optimizer == "muon":
            head = parts(model).head
            settings["exclude_layers"] = [f"(^|/){re.escape(layer.name)}/" for layer in head]
        optimizer = self._with_rates(model, settings)
        if self.mixed_precision == "mixed_float16":
            return keras.optimizers.LossScaleOptimizer(optimizer)
        return optimizer

    def _with_rates(
        self, model: keras.Model, settings: dict[str, Any]
    ) -> keras.optimizers.Optimizer:
        """The optimizer, with the same learning rate for all variables."""
        optimizer = OPTIMIZERS[self.optimizer](**settings)
        # Frozen variables too: they may be unfrozen between two calls of `fit`.
        optimizer.exclude_from_weight_decay([v for v in model.variables if len(v.shape) <= 1])
        return optimizer
