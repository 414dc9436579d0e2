"""`HealthCheck`: says what goes wrong with the numbers of a training, and stops before they spoil.

Keras's `TerminateOnNaN` stops, too. It leaves NaN in every weight, where callbacks that save at the
end of the epoch write them over the last good file, and says neither where it began nor why.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_bottleneck import checks, keras_private
from keras_bottleneck.training import symptoms
from keras_bottleneck.training.gradients import (
    GRADIENTS,
    SAMPLES,
    Batch,
    by_layer,
    exploding,
    gradient_norms,
    layers_of,
    one_batch,
)
from keras_bottleneck.training.state import is_mirrored

# A loss that has become so many times what it was has diverged.
RISEN = 1.5
LOWER = "lower the learning rate or clip gradients (`clipnorm=1`)"


class HealthCheck(keras.callbacks.Callback):
    """Warns of numbers that go wrong, and stops at the last good weights when the loss is lost.

    `Recipe.fit`, `training.finetune` and the trainings of `runs` have one. Each trouble is said
    once, in a sentence with the epoch, the layer and a remedy:

    - The loss is NaN or infinite, or weights are at the end of an epoch: training stops, and the
      model and its optimizer have the state of the end of the epoch before, already when other
      callbacks see the end of this one.
    - Gradients explode, or the kernel of a layer has grown a thousandfold in an epoch.
    - All outputs of a ReLU are zero, so that nothing learns through it.
    - A class is never seen (where `training.Accuracy(classes=...)` is among the metrics).
    - Most images of the batch are black, or of another single colour.
    - A batch norm is trained on one image at a time, or on one value of each channel.
    - The validation loss is not finite, although the training loss is.

    Keras's `TerminateOnNaN` stops, too, but leaves NaN in every weight, and so in the files of
    callbacks that save the model.

    Each step costs a look at the loss; once per epoch the state is copied to host memory, and the
    network and its gradients are computed for up to 32 images of `batch`.

    Args:
        batch: Images and labels as one batch of the training, or a dataset, of which the first
            batch is looked at; None for no look at images, activations and gradients. Where
            several devices train, the images alone are looked at.
        restore: Called instead of putting the copies back, by those who keep the last good state
            elsewhere; no copies are made then.

    Attributes:
        failure: Why the last `fit` was stopped, in a sentence; None if it was not.
        good_epoch: The last epoch of it, counted from 1, that ended with finite losses and
            weights; 0 for none.
        problems: All that was warned of.

    Raises:
        ValueError: For a wrong argument.

    Example:
        >>> health = HealthCheck((images, labels))  # doctest: +SKIP
        >>> model.fit(train, epochs=5, callbacks=[health])  # doctest: +SKIP
        >>> health.failure  # doctest: +SKIP
        "Epoch 2, step 17: the loss is nan, ..."
    """

    def __init__(self, batch: Any = None, restore: Callable[[], None] | None = None) -> None:
        super().__init__()
        if restore is not None and not callable(restore):
            raise checks.reject("restore", restore, "a function without arguments, or None")
        self.batch: Batch | None = None
        self.batch_size: int | None = None
        if batch is not None:
            self.batch, self.batch_size = _cut(batch)
        self.failure: str | None = None
        self.good_epoch = 0
        self._has_been_good = False
        self.problems: list[str] = []
        self._restore = restore
        self._good: symptoms.Copies = []
        self._sizes: symptoms.Sizes = []
        self._counts: np.ndarray | None = None
        self._counted = False
        self._told = 0
        self._said: set[str] = set()
        self._epoch = self._step = 0
        self._losses: list[float] = []

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin anew, and look at the batch and what the network makes of it."""
        self.failure, self.good_epoch, self._epoch = None, 0, 0
        self._counts, self._losses = None, []
        optimizer = self.model.optimizer
        if not optimizer.built:
            optimizer.build(self.model.trainable_variables)
        keras_private.start_averages(optimizer)
        self._sizes = symptoms.kernel_sizes(self.model)
        self._keep()
        if self.batch is not None:
            self._check_images(self.batch[0])
        self._look_inside()
        self._say()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch, self._step, self._counted = epoch + 1, 0, False

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stop where the loss, which is the mean since the epoch began, is not finite."""
        loss = (logs or {}).get("loss")
        self._step = batch + 1
        if loss is None or self.failure:
            return
        if math.isfinite(loss):
            self._losses = [*self._losses[:1], float(loss)]
        else:
            self._stop(f"the loss is {loss}")
            self._say()

    def on_test_begin(self, logs: Any = None) -> None:
        # Keras uses one and the same metric for both, and resets it.
        self._count()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Look at everything, and keep the state if it is good."""
        if self.failure:
            return
        self._count()
        self._check_classes()
        spoilt = symptoms.not_finite(self.model.variables)
        if spoilt:
            self._stop(f"weights of {checks.a_few(_owners(spoilt))} are not finite")
        else:
            self._check_growth()
            self._check_gradients()
            self._look_inside()
            self._end_well(epoch, (logs or {}).get("val_loss", 0.0))
        self._say()

    def on_train_end(self, logs: Any = None) -> None:
        self._good = []

    @property
    def _computed(self) -> Batch | None:
        """The batch, if the network can be called on it."""
        return None if _is_divided(self.model) else self.batch

    def _end_well(self, epoch: int, validation_loss: float) -> None:
        """Remember the state as good, if the validation loss, too, is finite."""
        if math.isfinite(validation_loss):
            self.good_epoch, self._has_been_good = epoch + 1, True
            self._keep()
        else:
            self._note(
                "validation",
                "the validation loss is not finite, although the training loss is: lower the "
                "learning rate, or estimate the moving statistics of batch norms anew "
                "(`recalibrate_batch_norm`)",
            )

    def check(self) -> None:
        """Raise an error if training was stopped before any epoch had ended well.

        Raises:
            ValueError: The `failure`.
        """
        if self.failure and not self._has_been_good:
            raise ValueError(self.failure)

    def _keep(self) -> None:
        """Remember the state as good."""
        if self._restore is None:
            self._good = symptoms.copies([*self.model.variables, *self.model.optimizer.variables])

    def _stop(self, what: str) -> None:
        model = self.model
        rate = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
        layer = symptoms.first_not_finite(model)
        if self._restore is not None:
            self._restore()
        for variable, value in self._good:
            variable.assign(value)
        model.stop_training = True
        where = f", which began in layer {layer!r}" if layer else self._largest_gradient()
        kept = f"of the end of epoch {self.good_epoch}" if self.good_epoch else "that it began with"
        self.failure = self._note(
            "failure",
            f"{what}{where}{_course(self._losses)}; training stops, and the model has the weights "
            f"{kept} again: {self._remedy(rate)}",
            f"Epoch {self._epoch}, step {self._step}",
        )

    def _remedy(self, rate: float) -> str:
        lower = f"{LOWER}, at a rate of {rate:.3g}"
        if any(layer.compute_dtype == "float16" for layer in self.model.layers):
            lower += ', or compute in "mixed_bfloat16", because float16 ends at 65,504'
        if _has_risen(self._losses):
            return lower
        return f"look for NaN and infinity in the images of that batch, or {lower}"

    def _largest_gradient(self) -> str:
        """What the gradients say of the weights that were good."""
        norms = self._gradients()
        spoilt = [name for name, norm in norms.items() if not math.isfinite(norm)]
        if spoilt:
            return f", and so is the gradient of {checks.a_few(spoilt)}"
        if not norms:
            return ""
        name = max(norms, key=lambda one: norms[one])
        return f" (the largest gradient before, {norms[name]:.3g}, was that of layer {name!r})"

    def _gradients(self) -> dict[str, float]:
        """The norm of the gradient of each layer; empty where none can be taken."""
        batch = self._computed
        if batch is None or keras.config.backend() not in GRADIENTS:
            return {}
        return by_layer(layers_of(self.model), gradient_norms(self.model, batch))

    def _check_gradients(self) -> None:
        self._note_of(
            "gradient",
            exploding(self._gradients()),
            "the gradient of {}, not finite or a thousand times as large as that of others, "
            f"explodes: {LOWER}",
        )

    def _check_growth(self) -> None:
        before, self._sizes = self._sizes, symptoms.kernel_sizes(self.model)
        self._note_of(
            "growth",
            _owners(symptoms.grown(before, self._sizes)),
            "the kernel of {} has become more than a thousand times as large in this epoch, so "
            f"gradients explode: {LOWER}",
        )

    def _count(self) -> None:
        """Add up what the metric has counted in this epoch."""
        if self._counted or not self._epoch:
            return
        self._counted = True
        seen = symptoms.seen(self.model)
        if seen is not None:
            self._counts = seen if self._counts is None else self._counts + seen

    def _check_classes(self) -> None:
        if self._counts is None:
            return
        missing = symptoms.unseen(self._counts)
        if missing:
            self._note(
                "classes",
                f"no image of class {checks.a_few(missing)} has been trained on, of "
                f"{len(self._counts):,} classes: shuffle the data over all classes, or build the "
                "model with fewer",
            )

    def _check_images(self, images: Any) -> None:
        count = symptoms.constant(images)
        if 2 * count > len(images):
            self._note(
                "images",
                f"{count} of {len(images)} images are of a single colour, as black ones are: look "
                "at the files, and at how they are decoded and scaled",
            )

    def _look_inside(self) -> None:
        batch = self._computed
        if batch is None:
            return
        inside = symptoms.look_inside(self.model, batch[0])
        self._note_of(
            "death",
            inside.dead,
            "all outputs of the ReLU in {} are zero, so that nothing learns through it: lower the "
            "learning rate, or look at the range of the images and at the initial biases",
        )
        single = [name for name, values in inside.values.items() if values == 1]
        self._note_of(
            "single values",
            single,
            "batch norm sees a single value of each channel in {} and gives nothing but its beta: "
            "train with larger batches or images, or freeze it",
        )
        if inside.values and not single and self.batch_size == 1:
            self._note(
                "batch norms",
                f"batch norm {next(iter(inside.values))!r} and all others take their statistics "
                "from one image at a time: train with batches of 8 or more, or freeze them",
            )

    def _note_of(self, trouble: str, layers: Sequence[str], sentence: str) -> None:
        """Say it of those layers of which it was not said before."""
        fresh = [name for name in layers if f"{trouble} {name}" not in self._said]
        self._said.update(f"{trouble} {name}" for name in fresh)
        if fresh:
            self._note(f"{trouble} of {fresh}", sentence.format(checks.a_few(fresh)))

    def _note(self, key: str, what: str, when: str | None = None) -> str:
        """The sentence, with the time, which is said once."""
        when = when or (f"Epoch {self._epoch}" if self._epoch else "Before the first epoch")
        sentence = f"{when}: {what}."
        if key not in self._said:
            self._said.add(key)
            self.problems.append(sentence)
        return sentence

    def _say(self) -> None:
        """Warn of what was noted since; to be called by what Keras calls."""
        for sentence in self.problems[self._told :]:
            warnings.warn(sentence, stacklevel=3)
        self._told = len(self.problems)


def _cut(batch: Any) -> tuple[Batch, int]:
    """As many samples of a batch as are looked at, and how many it has."""
    x, y, weights = one_batch(batch)
    size = len(keras.tree.flatten(x)[0])
    cut = keras.tree.map_structure(lambda one: one[:SAMPLES], (x, y))
    return (*cut, None if weights is None else weights[:SAMPLES]), size


def _owners(variables: Sequence[Any]) -> list[str]:
    """The names of the layers that variables belong to, each once."""
    return list(dict.fromkeys((one.path.split("/")[:-1] or [one.path])[-1] for one in variables))


def _has_risen(losses: Sequence[float]) -> bool:
    return bool(losses) and losses[-1] > RISEN * losses[0]


def _course(losses: Sequence[float]) -> str:
    """How the loss went before, in words."""
    if not losses:
        return " from the first step on"
    if _has_risen(losses):
        return f" after the loss had risen from {losses[0]:.3g} to {losses[-1]:.3g}"
    return f" all of a sudden, at a loss of {losses[-1]:.3g}"


def _is_divided(model: keras.Model) -> bool:
    """Whether devices share the work of each batch, so that none can compute alone."""
    return keras.distribution.distribution() is not None or is_mirrored(model)
