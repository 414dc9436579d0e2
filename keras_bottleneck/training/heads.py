"""A head for other classes, labels or numbers, on the features of a trained network."""

import keras

from keras_bottleneck import checks
from keras_bottleneck.graph.rebuild import functional
from keras_bottleneck.image_model import carrying, model_preprocessing
from keras_bottleneck.training.outputs import head_of, output_layers


def with_new_head(
    model: keras.Model, classes: int, activation: str | None = "softmax"
) -> keras.Model:
    """`model` with a fresh head for `classes` classes, as fine-tuning begins with.

    All other layers are those of `model` itself, not copies.

    Args:
        model: A functional or built Sequential model that ends in a dense layer.
        classes: Outputs of the new one.
        activation: "softmax" over classes, "sigmoid" for labels of their own, or None for numbers
            (or logits).

    Returns:
        A functional model with the name and preprocessing of `model`.

    Raises:
        ValueError: If `model` ends in anything else, or `activation` is another.

    Example:
        >>> from keras_bottleneck.models import ResNet18
        >>> with_new_head(ResNet18(classes=10), classes=3).output_shape
        (None, 3)
    """
    head_of(model)
    checks.one_of("activation", activation, ("softmax", "sigmoid", None))
    checks.integer("classes", classes, minimum=2 if activation == "softmax" else 1)
    network = functional(model)
    last = output_layers(network)[-1]
    if not isinstance(last, keras.layers.Dense):
        ends = f"a classifier that ends in a Dense layer (this one ends in {last.name!r})"
        raise checks.reject("model", model.name, ends)
    head = keras.layers.Dense(
        classes, activation=activation, dtype=last.dtype_policy, name=last.name
    )
    renewed = keras.Model(network.input, head(last.input), name=model.name)
    return carrying(renewed, model_preprocessing(model))
