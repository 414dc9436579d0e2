"""Answers beside the truth: which classes are taken for which, and the worst mistakes."""

from dataclasses import dataclass
from functools import cached_property

import keras
import numpy as np

from keras_bottleneck.evaluation.answers import Answers, Array
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.tasks import CLASSIFICATION, REGRESSION


@dataclass(frozen=True)
class ClassResult:
    """How the images of one class, or with one label, were classified.

    Attributes:
        label: The class.
        images: How many images it has.
        recall: The part of them that was taken for it.
        precision: The part, of all images that were taken for it, that are of it; None where none
            was.
        taken_for: The class that its other images were most often taken for; None without such.
    """

    label: str
    images: int
    recall: float
    precision: float | None
    taken_for: str | None

    @property
    def f1(self) -> float:
        """The harmonic mean of recall and precision; 0 where either is."""
        precision = self.precision or 0.0
        total = self.recall + precision
        return 2 * self.recall * precision / total if total else 0.0


@dataclass(frozen=True)
class NumberResult:
    """How well one number was predicted.

    Attributes:
        label: What it is called.
        mae: Mean absolute error, in its own unit.
        r2: Coefficient of determination: 1 for a perfect prediction, 0 for one as good as the mean.
    """

    label: str
    mae: float
    r2: float


@dataclass(frozen=True)
class Mistake:
    """An image that was taken for another class than its own.

    Attributes:
        pixels: uint8 (height, width, 1 or 3).
        label: Its class.
        predicted: The class that it was taken for.
        probability: Of the predicted class, from 0 to 1.
        true_probability: Of its own class.
    """

    pixels: Array
    label: str
    predicted: str
    probability: float
    true_probability: float


@dataclass(frozen=True)
class Evaluation:
    """Answers, what would have been right, and what another model answers.

    Attributes:
        answers: To N samples.
        truth: Their class indices, (N,), or (N, ...) where each place has a class; of other tasks
            labels of 0 and 1, or numbers, (N, columns); None where they are not known.
        reference: What the answers should be equal to, such as those of the Keras model that a
            file was made from; None without such a model.
        labels: Names of the classes, labels or numbers; None where they are called by their
            indices.
    """

    answers: Answers
    truth: Array | None = None
    reference: Answers | None = None
    labels: tuple[str, ...] | None = None

    @property
    def of_whole_images(self) -> bool:
        """Whether what is known and what is answered are of each image, not of its pixels."""
        if self.truth is None:
            return False
        classes = self.answers.classes
        if self.answers.task != CLASSIFICATION:
            return True
        return classes is not None and classes.ndim == 1 and self.truth.ndim == 1

    @property
    def names(self) -> tuple[str, ...]:
        """Those of the classes, labels or numbers."""
        columns = self.answers.outputs if self.numbers else self.answers.probabilities
        count = 0 if columns is None else columns.shape[-1]
        return self.labels or tuple(map(str, range(count)))

    @property
    def numbers(self) -> bool:
        """Whether the answers are numbers."""
        return self.answers.task == REGRESSION

    @property
    def images(self) -> int:
        """How many images there are."""
        return len(self.answers.outputs)

    @cached_property
    def confusion(self) -> Array:
        """How many images of each class (rows) were taken for each class (columns)."""
        counts = np.zeros((len(self.names), len(self.names)), int)
        if self.truth is not None and self.answers.classes is not None:
            np.add.at(counts, (self.truth, self.answers.classes), 1)
        return counts

    @property
    def accuracy(self) -> float:
        """The part of the images that was taken for its own class."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    def confused(self, count: int) -> list[tuple[str, str, int]]:
        """The `count` most frequent (class, taken for, how often)."""
        wrong = self._wrong
        order = np.argsort(-wrong, axis=None, kind="stable")[:count]
        pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
        return [(self.names[a], self.names[b], int(wrong[a, b])) for a, b in pairs if wrong[a, b]]

    def by_class(self) -> tuple[ClassResult, ...]:
        """The figures of each class that has images, or of each label; none of numbers."""
        if self.answers.task != CLASSIFICATION:
            return self._by_label()
        results = []
        for index in np.flatnonzero(self.confusion.sum(1)).tolist():
            images, right = int(self.confusion[index].sum()), int(self.confusion[index, index])
            named = int(self.confusion[:, index].sum())
            wrong = self._wrong[index]
            results.append(
                ClassResult(
                    label=self.names[index],
                    images=images,
                    recall=right / images,
                    precision=right / named if named else None,
                    taken_for=self.names[int(wrong.argmax())] if wrong.any() else None,
                )
            )
        return tuple(results)

    def _by_label(self) -> tuple[ClassResult, ...]:
        decisions, truth = self.answers.decisions, self.truth
        if decisions is None or truth is None:
            return ()
        results = []
        for name, decided, true in zip(self.names, decisions.T, truth.T, strict=True):
            right = int((decided * true).sum())
            images, named = int(true.sum()), int(decided.sum())
            recall = right / images if images else 0.0
            precision = right / named if named else None
            results.append(ClassResult(name, images, recall, precision, None))
        return tuple(results)

    def by_number(self) -> tuple[NumberResult, ...]:
        """The figures of each number; none of other tasks."""
        if not self.numbers or self.truth is None:
            return ()
        results = []
        for name, answered, true in zip(
            self.names, self.answers.outputs.T, self.truth.T, strict=True
        ):
            r2 = keras.metrics.R2Score()
            r2.update_state(true[:, None], answered[:, None])
            error = float(np.abs(answered - true).mean())
            results.append(NumberResult(name, error, float(r2.result())))
        return tuple(results)

    def mistakes(
        self, inputs: Array, preprocessing: Preprocessing | None, count: int
    ) -> tuple[Mistake, ...]:
        """The `count` worst, those first that give the true class the lowest probability.

        Args:
            inputs: The images that were answered, as the model takes them.
            preprocessing: How they became so.
            count: How many at the most.
        """
        probabilities, predicted = self.answers.probabilities, self.answers.classes
        truth = self.truth
        if probabilities is None or predicted is None or truth is None or predicted.ndim != 1:
            return ()
        own = probabilities[np.arange(len(truth)), truth]
        wrong = np.flatnonzero(predicted != truth)
        wrong = wrong[np.argsort(own[wrong], kind="stable")][:count]
        return tuple(
            Mistake(
                pixels=shown(inputs[index], preprocessing),
                label=self.names[truth[index]],
                predicted=self.names[predicted[index]],
                probability=float(probabilities[index].max()),
                true_probability=float(own[index]),
            )
            for index in wrong
        )

    @property
    def _wrong(self) -> Array:
        return self.confusion * (1 - np.eye(len(self.names), dtype=int))


def shown(image: Array, preprocessing: Preprocessing | None) -> Array:
    """Pixels 0..255 of a model input, as they were before `preprocessing`."""
    if preprocessing is None:
        low, high = float(image.min()), float(image.max())
        pixels = (image - low) * (255 / max(high - low, 1e-9))
    else:
        mean, std = np.asarray(preprocessing.mean), np.asarray(preprocessing.std)
        pixels = (image * std + mean) / preprocessing.scale
        pixels = pixels[..., ::-1] if preprocessing.color_order == "bgr" else pixels
    pixels = pixels if pixels.shape[-1] in (1, 3) else pixels[..., :1]
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
