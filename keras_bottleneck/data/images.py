"""What the functions of this folder return, and the one import of TensorFlow."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_bottleneck.preprocessing import Preprocessing

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class ImageData:
    """Batches for training and for validation, with what an exported file has to know about them.

    Every batch is (images, labels): float32 (batch, height, width, channels), preprocessed, and
    int32 (batch,), or float32 (batch, classes) where labels are mixed.

    Attributes:
        train: Shuffled in every epoch and augmented; None for `subset="validation"`.
        validation: Never augmented, in a fixed order that mixes the classes; None if there is none.
        class_names: Name of every label, in label order.
        preprocessing: What was done to the pixels.
        skipped: Files that are no readable images and were left out.
        train_size: Number of images in `train`.
        validation_size: Number of images in `validation`.
    """

    train: "tf.data.Dataset | None"
    validation: "tf.data.Dataset | None"
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    skipped: tuple[Path, ...] = ()
    train_size: int = 0
    validation_size: int = 0


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
