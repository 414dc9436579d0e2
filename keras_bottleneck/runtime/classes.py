"""From a model's outputs to probabilities, one place for predictors and evaluation."""

import numpy as np

from keras_bottleneck.tasks import CLASSIFICATION, MULTI_LABEL, REGRESSION


def probabilities_of(
    outputs: np.ndarray, output_name: str, task: str = CLASSIFICATION
) -> np.ndarray:
    """Probabilities (N, ..., classes) of outputs (N, ..., columns); of labels, (N, labels).

    Args:
        outputs: Raw model outputs: (N, columns), of a segmenter (N, height, width, columns). A
            single column is one probability or logit of the second of two classes.
        output_name: "probabilities" or "logits", as in `Metadata`; any other name means that the
            outputs are probabilities already.
        task: "classification", or "multi-label" where each column has a probability of its own.

    Raises:
        ValueError: If the outputs are not those of a classifier.

    Example:
        >>> probabilities_of(np.zeros((1, 2), np.float32), "logits").tolist()
        [[0.5, 0.5]]
    """
    if outputs.ndim < 2 or output_name == "features" or task == REGRESSION:
        raise ValueError(
            "`outputs` must be those of a classifier, (N, ..., classes). Received: "
            f"{output_name} of shape {outputs.shape}"
        )
    if task == MULTI_LABEL:
        return _sigmoid(outputs) if output_name == "logits" else outputs
    single = outputs.shape[-1] == 1
    if output_name == "logits":
        outputs = np.concatenate([np.zeros_like(outputs), outputs], -1) if single else outputs
        return _softmax(outputs)
    return np.concatenate([1 - outputs, outputs], -1) if single else outputs


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(logits))  # which does not overflow
    return np.where(logits >= 0, 1, small) / (1 + small)


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)
