"""What an output says of images: classes with probabilities, numbers, or values as they are."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_bottleneck.checks import reject
from keras_bottleneck.runtime.classes import probabilities_of
from keras_bottleneck.runtime.ports import FEATURES, LOGITS, OF_CLASSES
from keras_bottleneck.tasks import CLASSIFICATION, REGRESSION

Named = list[tuple[str, float]]
Prediction = Named | float


@dataclass(frozen=True)
class Head:
    """One output of an opened artifact.

    Attributes:
        path: The artifact.
        name: "probabilities", "logits" and so on, as in `Metadata` and `ports.MEANINGS`; in files
            without metadata, the output's own name.
        task: "classification", "multi-label" or "regression".
        labels: The names of the classes, labels or numbers in the order of the values, or None.
        described: Whether the artifact carries metadata, which describe the output.
    """

    path: Path
    name: str
    task: str = CLASSIFICATION
    labels: tuple[str, ...] | None = None
    described: bool = True

    def gives_numbers(self, outputs: np.ndarray) -> bool:
        """Whether `outputs` are those of a regression, or of one linear layer without labels."""
        if outputs.ndim != 2 or not self.described:
            return False
        unnamed = self.name == LOGITS and self.labels is None and outputs.shape[1] == 1
        return self.task == REGRESSION or unnamed

    def classifies(self, outputs: np.ndarray) -> bool:
        """Whether `outputs` are of the classes of whole images, or of labels."""
        of_classes = self.name in OF_CLASSES or not self.described
        return outputs.ndim == 2 and of_classes and not self.gives_numbers(outputs)

    def answers(self, outputs: np.ndarray) -> np.ndarray:
        """The probabilities or numbers that raw `outputs` are.

        Raises:
            ValueError: If they are neither.
        """
        return outputs if self.gives_numbers(outputs) else self.probabilities(outputs)

    def probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """The probabilities (N, ..., classes) that raw `outputs` are.

        Raises:
            ValueError: If the model is no classifier, or has another number of labels.
        """
        # A file that does not say so may return anything in more than two dimensions.
        dense = outputs.ndim > 2 and self.described
        if not (outputs.ndim == 2 or dense) or self.name == FEATURES:
            raise self.no_classifier()
        found = probabilities_of(outputs, self.name, self.task)
        self._names(found.shape[-1])
        return found

    def predictions(self, answers: np.ndarray, top: int, numbers: bool) -> list[Prediction]:
        """For each image the `top` most probable classes, or its numbers."""
        return self._numbers(answers) if numbers else self._ranked(answers, top)

    def no_classifier(self) -> ValueError:
        """The error for what only a classifier has."""
        return reject("path", str(self.path), "a classifier with outputs (N, classes)")

    def _numbers(self, outputs: np.ndarray) -> list[Prediction]:
        if outputs.shape[1] == 1:
            return list(outputs[:, 0].tolist())
        names = self._names(outputs.shape[1])
        return [list(zip(names, row, strict=True)) for row in outputs.tolist()]

    def _ranked(self, found: np.ndarray, top: int) -> list[Prediction]:
        if found.ndim != 2:
            accepted = "a classifier of whole images (`probabilities` gives those of each pixel)"
            raise reject("path", str(self.path), accepted)
        names = self._names(found.shape[1])
        orders = np.argsort(-found, axis=-1, kind="stable")[:, :top]
        return [
            [(names[index], float(row[index])) for index in order]
            for row, order in zip(found, orders, strict=True)
        ]

    def _names(self, columns: int) -> tuple[str, ...]:
        """A name for each class, label or number."""
        if self.labels is not None and len(self.labels) != columns:
            found = f"{len(self.labels)} labels for {columns} classes"
            raise reject("path", str(self.path), f"an artifact with one label per class ({found})")
        return self.labels or tuple(str(index) for index in range(columns))
