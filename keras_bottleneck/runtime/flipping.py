"""Two looks at each image, the second in a mirror: test-time augmentation by flips."""

from collections.abc import Callable
from typing import Any

import numpy as np

from keras_bottleneck.checks import one_of

TTA = (None, "flip")


def checked(tta: Any) -> str | None:
    """`tta`, if it is "flip" or None."""
    found: str | None = one_of("tta", tta, TTA)
    return found


def mean_of_both(answer: Callable[[np.ndarray], np.ndarray], batch: np.ndarray) -> np.ndarray:
    """The mean of the answers to images and to their mirror images, left to right.

    Of probabilities, not of logits: a mean of logits would be a geometric mean of the
    probabilities, in which one look that rules a class out outweighs the other.

    Args:
        answer: From images (N, height, width, channels) to probabilities or numbers (N, ...); with
            four axes they have places, (N, height, width, classes), and are mirrored back.
        batch: The images.

    Example:
        >>> image = np.array([[[[0.0], [1.0]]]])
        >>> mean_of_both(lambda batch: batch[:, 0, 0], image)
        array([[0.5]])
    """
    straight, mirrored = answer(batch), answer(np.ascontiguousarray(batch[:, :, ::-1]))
    if mirrored.ndim == 4:
        mirrored = mirrored[:, :, ::-1]
    return (straight + mirrored) / 2
