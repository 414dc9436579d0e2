"""The gradient of a model's loss on one batch, without touching the model."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_bottleneck import checks, keras_private

# Images, labels and, or None, sample weights.
Batch = tuple[Any, Any, Any]
Loss = Callable[[list[Any]], Any]

# How many times the gradient of the layer in the middle is too much. In networks that train well,
# the largest is some tens of times as large.
EXPLODING = 1000.0
# Of arrays, as many samples are looked at.
SAMPLES = 32


def one_batch(data: Any) -> Batch:
    """The batch that gradients are taken on, in arrays: images, labels and weights or None.

    Raises:
        ValueError: If `data` is neither a dataset of batches (images, labels) nor such arrays.
    """
    accepted = "a dataset of batches (images, labels), or such arrays"
    given = isinstance(data, (tuple, list))
    if not given and (isinstance(data, (str, bytes, dict)) or not hasattr(data, "__iter__")):
        raise checks.reject("data", data, accepted)
    batch = data if given else next(iter(data), None)
    if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
        raise checks.reject("data", batch, accepted)
    x, y, weights = (*batch, None)[:3]
    limit = SAMPLES if given else None
    arrays = keras.tree.map_structure(lambda one: np.asarray(one)[:limit], (x, y))
    lengths = {len(array) for array in keras.tree.flatten(arrays)}
    if len(lengths) != 1 or lengths == {0}:
        raise checks.reject("data", sorted(lengths), "as many images as labels, and not none")
    return *arrays, None if weights is None else np.asarray(weights)[:limit]


def gradient_norms(model: keras.Model, batch: Batch) -> list[float]:
    """The norm of the gradient of the compiled loss for each trainable variable of `model`.

    The model is called as in training, but its batch norms and random generators stay as they
    are. A variable that does not reach the loss has the norm 0.
    """
    x, y, weights = batch
    variables = model.trainable_variables

    def loss(values: list[Any]) -> Any:
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(mapping, collect_losses=True):
            outputs = model(keras_private.as_taken(model, x), training=True)
            return model.compute_loss(x, y, outputs, weights)

    values = [keras.ops.convert_to_tensor(variable.value) for variable in variables]
    found = GRADIENTS[keras.config.backend()](loss, values)
    return [0.0 if gradient is None else _norm(gradient) for gradient in found]


def _norm(gradient: Any) -> float:
    array = np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(gradient, "float32")))
    return float(np.linalg.norm(array.astype(np.float64)))


def _tensorflow(loss: Loss, values: list[Any]) -> list[Any]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(values)
        found = loss(values)
    return [
        None if gradient is None else tf.convert_to_tensor(gradient)  # an embedding's are sparse
        for gradient in tape.gradient(found, values)
    ]


def _jax(loss: Loss, values: list[Any]) -> list[Any]:
    import jax

    return jax.grad(loss)(values)


GRADIENTS: dict[str, Callable[[Loss, list[Any]], list[Any]]] = {
    "tensorflow": _tensorflow,
    "jax": _jax,
}


def layers_of(model: keras.Model) -> list[str]:
    """For each trainable variable of `model`, the name of the layer that it belongs to."""
    owners: dict[int, Any] = {}
    for layer in [model, *keras_private.sublayers(model)]:
        for variable in layer.trainable_variables:
            current = owners.get(id(variable))
            # Blocks and nested models list the variables of their layers too, and come first.
            if current is None or _count(layer) <= _count(current):
                owners[id(variable)] = layer
    return [owners[id(variable)].name for variable in model.trainable_variables]


def _count(layer: Any) -> int:
    return len(layer.trainable_variables)


def by_layer(names: list[str], norms: list[float]) -> dict[str, float]:
    """The norm of the gradient of each layer, from the norms of its variables."""
    squares: dict[str, float] = {}
    for name, norm in zip(names, norms, strict=True):
        squares[name] = squares.get(name, 0.0) + norm**2
    return {name: math.sqrt(square) for name, square in squares.items()}


def exploding(norms: dict[str, float]) -> list[str]:
    """The layers whose gradient is not finite, or 1,000 times that of the middle one.

    The middle one is the layer with the median norm, dead ones apart.
    """
    alive = [one for one in norms.values() if math.isfinite(one) and one > 0]
    limit = EXPLODING * float(np.median(alive)) if alive else math.inf
    return [name for name, norm in norms.items() if not math.isfinite(norm) or norm > limit]
