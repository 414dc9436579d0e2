"""How right outputs are."""

from typing import Any

import numpy as np

from keras_bottleneck.export.verify import Array, accuracy, classes, difference
from keras_bottleneck.runtime.classes import class_probabilities

TOP = 5


def judged(
    outputs: Array, reference: Array, labels: Array | None, output_name: str
) -> dict[str, Any]:
    """`top1`, `top5`, `error` and `agreement` of a cell, as `Cell` describes them.

    Args:
        outputs: (N, ..., columns).
        reference: Those of the float32 Keras model.
        labels: Class indices (N, ...) or None.
        output_name: "probabilities", "logits" or "features".
    """
    error = difference(outputs, reference, output_name)
    return {
        "top1": accuracy(outputs, labels, output_name),
        "top5": _among_the_first(outputs, labels, output_name),
        "error": error if np.isfinite(error) else None,
        "agreement": accuracy(outputs, classes(reference, output_name), output_name),
    }


def _among_the_first(outputs: Array, labels: Array | None, output_name: str) -> float | None:
    """Top-5 accuracy; None where there are no labels, or too few classes to mean anything."""
    if labels is None or output_name == "features":
        return None
    probabilities = class_probabilities(outputs, output_name)
    if probabilities.shape[-1] <= TOP:
        return None
    first = np.argpartition(-probabilities, TOP - 1, axis=-1)[..., :TOP]
    return float(np.mean((first == labels[..., None]).any(-1)))
