"""A classifier for other classes, on the features of a trained one."""

import keras

from keras_bottleneck import checks
from keras_bottleneck.graph.rebuild import functional
from keras_bottleneck.image_model import carrying, model_preprocessing
from keras_bottleneck.training.outputs import class_count, output_layers


def with_new_head(model: keras.Model, classes: int) -> keras.Model:
    """`model` with a fresh classifier for `classes` classes, as fine-tuning begins with.

    All other layers are those of `model` itself, not copies.

    Args:
        model: A functional or built Sequential classifier that ends in a dense layer.
        classes: Outputs of the new one.

    Returns:
        A functional model with the name and preprocessing of `model`, which ends in a softmax.

    Raises:
        ValueError: If `model` ends in anything else.

    Example:
        >>> from keras_bottleneck.models import ResNet18
        >>> with_new_head(ResNet18(classes=10), classes=3).output_shape
        (None, 3)
    """
    class_count(model)
    checks.integer("classes", classes, minimum=2)
    network = functional(model)
    last = output_layers(network)[-1]
    if not isinstance(last, keras.layers.Dense):
        ends = f"a classifier that ends in a Dense layer (this one ends in {last.name!r})"
        raise checks.reject("model", model.name, ends)
    head = keras.layers.Dense(
        classes, activation="softmax", dtype=last.dtype_policy, name=last.name
    )
    renewed = keras.Model(network.input, head(last.input), name=model.name)
    return carrying(renewed, model_preprocessing(model))
