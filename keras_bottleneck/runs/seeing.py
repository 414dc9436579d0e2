"""The picture of what a network sees: its first batch, augmented, with its labels."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_bottleneck import charts
from keras_bottleneck.data import ImageData
from keras_bottleneck.evaluation.results import shown
from keras_bottleneck.runs.folder import AUGMENTED, Run
from keras_bottleneck.tasks import REGRESSION

SHOWN = 32
# A smaller share of a class in a mixed label is not written.
LEAST = 0.005


class Augmented(keras.callbacks.Callback):
    """Writes augmented.png when a training begins; nothing where matplotlib is not installed.

    Args:
        run: In whose folder.
        images: Those that it trains on.
    """

    def __init__(self, run: Run, images: ImageData) -> None:
        super().__init__()
        self.run, self.images = run, images

    def on_train_begin(self, logs: Any = None) -> None:
        if (self.run.path / AUGMENTED).exists():
            return
        try:
            chart = picture(self.images)
        except ImportError:
            return  # the card warns of it, together with curves.png
        self.run.write(AUGMENTED, chart.png())


def picture(images: ImageData) -> charts.Chart:
    """The first batch of the first epoch, as it was before the preprocessing.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    # From any batch on, the order is that of the training: its very first batch.
    train: Any = images.train
    inputs, labels = next(iter(train.from_batch(0).take(1).as_numpy_iterator()))
    pixels = [shown(image, images.preprocessing) for image in inputs[:SHOWN]]
    names, task = images.class_names, images.task
    return charts.grid(pixels, [described(label, names, task) for label in labels[:SHOWN]])


def described(label: Any, names: Sequence[str], task: str) -> list[tuple[str, str]]:
    """The classes of a label with their shares, the largest first; of a regression, its numbers.

    Example:
        >>> described(np.array([0.3, 0.7]), ["cat", "dog"], "classification")
        [('dog', ' 70%'), ('cat', ' 30%')]
    """
    label = np.asarray(label)
    if task == REGRESSION:
        return [(name, f" {value:.4g}") for name, value in zip(names, label.ravel(), strict=True)]
    if label.ndim == 0:
        return [(names[int(label)], "")]
    order = [int(index) for index in np.argsort(-label, kind="stable") if label[index] >= LEAST]
    return [
        (names[index], "" if label[index] > 1 - LEAST else f" {label[index]:.0%}")
        for index in order
    ]
