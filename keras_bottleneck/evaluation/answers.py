"""What a model or an artifact answers to its inputs."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from keras_bottleneck.runtime.classes import probabilities_of
from keras_bottleneck.tasks import CLASSIFICATION, MULTI_LABEL, REGRESSION

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Answers:
    """The outputs for N samples, and what they are.

    Attributes:
        outputs: As the model returns them: (N, columns); (N, height, width, columns) of a
            segmenter.
        output_name: "probabilities", "logits", or "features" of a model without classes.
        task: "classification", "multi-label" or "regression".

    Example:
        >>> Answers(np.array([[0.1, 0.9]]), "probabilities").classes
        array([1])
    """

    outputs: Array
    output_name: str
    task: str = CLASSIFICATION

    def like_these(self, outputs: Array) -> "Answers":
        """The answers of another file of the same model."""
        return Answers(outputs, self.output_name, self.task)

    @cached_property
    def probabilities(self) -> Array | None:
        """Of the classes, (N, ..., classes), or labels, (N, labels); None where there are none."""
        if self.output_name == "features" or self.task == REGRESSION:
            return None
        return probabilities_of(self.outputs, self.output_name, self.task)

    @cached_property
    def classes(self) -> Array | None:
        """The index of the most probable class, (N, ...); None where each has no single class."""
        if self.probabilities is None or self.task != CLASSIFICATION:
            return None
        return self.probabilities.argmax(-1)

    @cached_property
    def decisions(self) -> Array | None:
        """What is decided: the class of each, (N, ...), or for each label 0 or 1, (N, labels)."""
        if self.task == MULTI_LABEL and self.probabilities is not None:
            return (self.probabilities >= 0.5).astype(int)
        return self.classes
