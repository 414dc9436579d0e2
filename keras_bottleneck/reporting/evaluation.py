"""What the best model of a run gets right and wrong."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_bottleneck.benchmarking.inputs import Inputs
from keras_bottleneck.benchmarking.subject import Subject
from keras_bottleneck.export.verify import keras_outputs
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.runtime.classes import class_probabilities

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Mistake:
    """An image that the model gets wrong.

    Attributes:
        pixels: uint8 (height, width, 1 or 3).
        label: Its class.
        predicted: The class that the model takes it for.
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
    """The answers of a classifier.

    Attributes:
        names: Of the classes.
        confusion: How many images of each class (rows) were taken for each class (columns).
        mistakes: The worst, those first whose own class is the least probable.
    """

    names: tuple[str, ...]
    confusion: Array
    mistakes: tuple[Mistake, ...]

    @property
    def images(self) -> int:
        """How many images it was asked about."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """Part of them that it got right."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    def confused(self, count: int) -> list[tuple[str, str, int]]:
        """The `count` most frequent (class, taken for, how often)."""
        wrong = self.confusion * (1 - np.eye(len(self.names), dtype=int))
        order = np.argsort(-wrong, axis=None, kind="stable")[:count]
        pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
        return [(self.names[a], self.names[b], int(wrong[a, b])) for a, b in pairs if wrong[a, b]]


def evaluated(subject: Subject, inputs: Inputs, worst: int) -> Evaluation | None:
    """The answers of the model to `inputs`; None where it does not classify whole images.

    Args:
        subject: The model.
        inputs: Images with labels.
        worst: How many mistakes to show.
    """
    labels = inputs.labels
    if labels is None or labels.ndim != 1 or subject.output_name == "features":
        return None
    outputs = keras_outputs(subject.model, inputs.images)
    probabilities = class_probabilities(outputs, subject.output_name)
    names = _names(subject, probabilities.shape[-1])
    predicted = probabilities.argmax(-1)
    confusion = np.zeros((len(names), len(names)), int)
    np.add.at(confusion, (labels, predicted), 1)
    own = probabilities[np.arange(len(labels)), labels]
    wrong = np.flatnonzero(predicted != labels)
    wrong = wrong[np.argsort(own[wrong], kind="stable")][:worst]
    return Evaluation(
        names=names,
        confusion=confusion,
        mistakes=tuple(
            Mistake(
                pixels=_shown(inputs.images[index], subject.preprocessing),
                label=names[labels[index]],
                predicted=names[predicted[index]],
                probability=float(probabilities[index].max()),
                true_probability=float(own[index]),
            )
            for index in wrong
        ),
    )


def _names(subject: Subject, count: int) -> tuple[str, ...]:
    return subject.labels or tuple(str(index) for index in range(count))


def _shown(image: Array, preprocessing: Preprocessing | None) -> Array:
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
