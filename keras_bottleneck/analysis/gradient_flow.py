"""`GradientFlow`: how much gradient reaches each layer while a network is trained."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from keras_bottleneck import charts, checks
from keras_bottleneck.console import Printable
from keras_bottleneck.training.gradients import (
    GRADIENTS,
    by_layer,
    exploding,
    gradient_norms,
    layers_of,
    one_batch,
)


@dataclass(frozen=True)
class GradientReport(Printable):
    """Norms of gradients over training; printing it shows a table.

    Attributes:
        steps: The training steps, from 0, after which gradients were measured.
        norms: For each layer with trainable weights, in order, the norm of the gradient of all of
            them, at each of `steps`.
    """

    steps: tuple[int, ...]
    norms: dict[str, tuple[float, ...]]

    @property
    def dead(self) -> tuple[str, ...]:
        """The layers that no gradient reached at the last of `steps`: all of it was zero."""
        return tuple(name for name, values in self.norms.items() if values and values[-1] == 0.0)

    @property
    def exploding(self) -> tuple[str, ...]:
        """The layers whose gradient once was not finite, or 1,000 times that of the middle one.

        The middle one is the layer with the median norm at that step, without the dead ones.
        """
        columns = zip(*self.norms.values(), strict=True)
        steps = [dict(zip(self.norms, column, strict=True)) for column in columns]
        layers = {name for norms in steps for name in exploding(norms)}
        return tuple(name for name in self.norms if name in layers)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, one sentence each; empty where gradients flow well."""
        sentences = []
        if self.dead:
            sentences.append(f"No gradient reaches {checks.a_few(self.dead)}.")
        if self.exploding:
            sentences.append(f"Gradients explode in {checks.a_few(self.exploding)}.")
        return tuple(sentences)

    def plot(self, path: str | Path) -> Path:
        """Draw the norms, layers from the input down, steps to the right, into a file at `path`.

        Dead layers are black, values that are not finite red. A name in letters that no font of
        the machine has is drawn as "#" and its position in `norms`.

        Returns:
            The path.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        title = "\n".join(self.problems) or "Gradients reach every layer"
        marked = {*self.dead, *self.exploding}
        return charts.gradients(self.steps, self.norms, marked, title).save(path)

    def __rich__(self) -> Any:
        from rich.table import Table

        table = Table(title=f"Norms of gradients, measured at {len(self.steps)} training steps")
        table.add_column("layer", overflow="fold")
        for heading in ("first", "last", "smallest", "largest"):
            table.add_column(heading, justify="right")
        for name, values in self.norms.items():
            ends = (values[0], values[-1], min(values), max(values))
            table.add_row(name, *(f"{value:.2e}" for value in ends))
        table.add_section()
        for problem in self.problems or ("Gradients reach every layer.",):
            table.add_row(problem, "", "", "", "")
        return table


class GradientFlow(keras.callbacks.Callback):
    """Measures, while `fit` runs, how much gradient reaches each layer.

    The gradient is that of the compiled loss on one batch, the same each time, in training mode;
    the model, its batch norms and its random numbers stay as they would be without this callback.
    It is measured before the first step, every `every` steps and after each epoch. At the end,
    a warning names dead and exploding layers.

    Args:
        data: Images and labels: a dataset of batches, of which the first is used, or arrays
            (images, labels), of which the first 32 samples are.
        path: Where a picture goes, drawn anew after each epoch; None for none.
        every: Training steps between two measurements; each costs about as much as one step.

    Attributes:
        report: A `GradientReport` of what was measured since `fit` began.

    Raises:
        ValueError: For a wrong argument, or on the PyTorch backend; on `fit`, if the model has no
            trainable weights.
        ImportError: If a picture is asked for and matplotlib is not installed.

    Source: the picture is that of Glorot & Bengio 2010, section 4.2, over time.

    Example:
        >>> flow = GradientFlow((images, labels), "gradients.png", every=50)  # doctest: +SKIP
        >>> model.fit(train, epochs=5, callbacks=[flow])  # doctest: +SKIP
        >>> flow.report.dead  # doctest: +SKIP
        ()
    """

    def __init__(self, data: Any, path: str | Path | None = None, every: int = 100) -> None:
        super().__init__()
        if keras.config.backend() not in GRADIENTS:
            raise ValueError(
                f"`GradientFlow` needs Keras on the {' or '.join(GRADIENTS)} backend. Received: "
                f"backend={keras.config.backend()!r}"
            )
        self.batch = one_batch(data)
        self.every = checks.integer("every", every)
        self.path = None if path is None else _checked_path(path)
        self._steps: list[int] = []
        self._norms: list[dict[str, float]] = []
        self._before_epoch = self._now = 0

    @property
    def report(self) -> GradientReport:
        """What was measured since `fit` began."""
        names = list(self._norms[-1]) if self._norms else []
        columns = {name: tuple(norms[name] for norms in self._norms) for name in names}
        return GradientReport(tuple(self._steps), columns)

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin anew, and measure before the first step."""
        self._steps, self._norms = [], []
        self._before_epoch = self._now = 0
        if not self.model.trainable_variables:
            raise ValueError(
                "`GradientFlow` must be given a model with trainable weights. Received: model "
                f"{self.model.name!r}, in which all layers are frozen"
            )
        self._measure()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Measure if it is time."""
        self._now = self._before_epoch + batch + 1
        if self._now - self._steps[-1] >= self.every:
            self._measure()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Measure, and draw the picture."""
        self._before_epoch = self._now
        self._measure()
        if self.path is not None:
            self.report.plot(self.path)

    def on_train_end(self, logs: Any = None) -> None:
        """Warn of what is wrong."""
        for problem in self.report.problems:
            warnings.warn(problem, stacklevel=2)

    def _measure(self) -> None:
        if self._steps and self._steps[-1] == self._now:
            return
        names = layers_of(self.model)
        norms = by_layer(names, gradient_norms(self.model, self.batch))
        self._steps.append(self._now)
        self._norms.append(norms)


def _checked_path(path: Any) -> Path:
    import matplotlib  # noqa: F401, asked for here: not to be missed after an hour of training

    if not isinstance(path, (str, Path)) or not Path(path).parent.is_dir():
        raise checks.reject("path", str(path), "a picture file in an existing folder")
    return Path(path)
