"""From a model's outputs to class probabilities, one place for predictors and verification."""

import numpy as np


def class_probabilities(outputs: np.ndarray, output_name: str) -> np.ndarray:
    """Probabilities (N, ..., classes) of outputs (N, ..., columns).

    Args:
        outputs: Raw model outputs: (N, columns), of a segmenter (N, height, width, columns). A
            single column is one probability or logit of the second of two classes.
        output_name: "probabilities" or "logits", as in `Metadata`; any other name means that the
            outputs are probabilities already.

    Raises:
        ValueError: If the outputs are not those of a classifier.

    Example:
        >>> class_probabilities(np.zeros((1, 2), np.float32), "logits").tolist()
        [[0.5, 0.5]]
    """
    if outputs.ndim < 2 or output_name == "features":
        raise ValueError(
            "`outputs` must be those of a classifier, (N, ..., classes). Received: "
            f"{output_name} of shape {outputs.shape}"
        )
    single = outputs.shape[-1] == 1
    if output_name == "logits":
        outputs = np.concatenate([np.zeros_like(outputs), outputs], -1) if single else outputs
        return _softmax(outputs)
    return np.concatenate([1 - outputs, outputs], -1) if single else outputs


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)
