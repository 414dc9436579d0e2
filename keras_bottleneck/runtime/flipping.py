"""Two looks at each image, the second in a mirror: test-time augmentation by flips."""

from typing import Any

import numpy as np

from keras_bottleneck.checks import one_of

TTA = (None, "flip")


def checked(tta: Any) -> str | None:
    """`tta`, if it is "flip" or None."""
    found: str | None = one_of("tta", tta, TTA)
    return found


def mirrored(images: np.ndarray) -> np.ndarray:
    """Images (N, height, width, channels), left to right.

    Example:
        >>> mirrored(np.array([[[[0.0], [1.0]]]])).ravel()
        array([1., 0.])
    """
    return np.ascontiguousarray(images[:, :, ::-1])


def mean(straight: np.ndarray, turned: np.ndarray) -> np.ndarray:
    """The mean of the answers to images and to their mirror images.

    Of probabilities, not of logits: a mean of logits would be a geometric mean of the
    probabilities, in which one look that rules a class out outweighs the other.

    Args:
        straight: Probabilities or numbers (N, ...).
        turned: Those of the mirror images; with four axes they have places, (N, height, width,
            classes), and are mirrored back.
    """
    if turned.ndim == 4:
        turned = turned[:, :, ::-1]
    return (straight + turned) / 2
