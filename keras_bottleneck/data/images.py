"""What the functions of this folder return, and the one import of TensorFlow."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.tasks import CLASSIFICATION

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class ImageData:
    """Batches for training and for validation, with what an exported file has to know about them.

    Every batch is (images, labels): float32 (batch, height, width, channels), preprocessed, and
    int32 (batch,), or float32 (batch, classes) where labels are mixed. With several labels of an
    image, or numbers to predict, they are float32 (batch, columns).

    Attributes:
        train: Shuffled in every epoch and augmented; None where another part was asked for.
        validation: Never augmented, in a fixed order that mixes the classes; None if there is none.
        class_names: Name of every class, in the order of the indices; or of every label or number.
        preprocessing: What was done to the pixels.
        skipped: Files that are no readable images and were left out.
        train_size: Number of images in `train`.
        validation_size: Number of images in `validation`.
        test: As `validation`, of a test part; None if there is none.
        test_size: Number of images in `test`.
        problems: Why each of `skipped` is no readable image.
        task: "classification", "multi-label" or "regression".
    """

    train: "tf.data.Dataset | None"
    validation: "tf.data.Dataset | None"
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    skipped: tuple[Path, ...] = ()
    train_size: int = 0
    validation_size: int = 0
    test: "tf.data.Dataset | None" = None
    test_size: int = 0
    problems: tuple[str, ...] = ()
    task: str = CLASSIFICATION

    @property
    def targets(self) -> np.ndarray:
        """The labels or numbers of all training images, as the batches have them unmixed."""
        return np.asarray(getattr(self.train, "labels", ()))


def load_tensorflow() -> Any:
    """The tensorflow module.

    Raises:
        ImportError: If TensorFlow is not installed.
    """
    try:
        import tensorflow
    except ImportError:
        raise ImportError(
            "`keras_bottleneck.data` reads images with tf.data: pip install tensorflow"
        ) from None
    return tensorflow
