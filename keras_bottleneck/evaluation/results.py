"""Answers beside the truth: which classes are taken for which, and the worst mistakes."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from keras_bottleneck.evaluation.answers import Answers, Array
from keras_bottleneck.preprocessing import Preprocessing


@dataclass(frozen=True)
class ClassResult:
    """How the images of one class were classified.

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
        truth: Their class indices, (N,), or (N, ...) where each place has a class; None where they
            are not known.
        reference: What the answers should be equal to, such as those of the Keras model that a
            file was made from; None without such a model.
        labels: Names of the classes; None where they are called by their indices.
    """

    answers: Answers
    truth: Array | None = None
    reference: Answers | None = None
    labels: tuple[str, ...] | None = None

    @property
    def of_whole_images(self) -> bool:
        """Whether each image has one class that is known, and one that it was taken for."""
        return (
            self.answers.classes is not None
            and self.answers.classes.ndim == 1
            and self.truth is not None
            and self.truth.ndim == 1
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Those of the classes."""
        count = 0 if self.answers.probabilities is None else self.answers.probabilities.shape[-1]
        return self.labels or tuple(map(str, range(count)))

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
        """The figures of each class that has images."""
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
        if probabilities is None or predicted is None or truth is None:
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
