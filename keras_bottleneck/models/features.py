"""The feature maps inside a backbone: which there are, and a model that returns them."""

from typing import Any, NamedTuple

import keras

from keras_bottleneck import checks, keras_private, naming

# Large enough that every stride of a backbone divides it.
PROBE_SIZE = 1024


class Feature(NamedTuple):
    """One feature map: the layer it leaves, its channels, its stride in input pixels."""

    name: str
    channels: int
    stride: int


def feature_info(model: keras.Model) -> list[Feature]:
    """The deepest feature map at each stride, as timm's `feature_info` lists them.

    Args:
        model: A model of this package, flattened, folded or neither, with or without top.

    Returns:
        One `Feature` for each stride, the finest first.

    Raises:
        ValueError: If `model` has no stages of this package.

    Example:
        >>> from keras_bottleneck.models import ResNet18
        >>> feature_info(ResNet18(include_top=False))[-1]
        Feature(name='stage4_block2', channels=512, stride=32)
    """
    layers = _stage_ends(model)
    probe = keras.Model(model.inputs, [layer.output for layer in layers])
    image = keras.KerasTensor((1, PROBE_SIZE, PROBE_SIZE, model.inputs[0].shape[-1]))
    outputs = keras_private.replay(probe, [image], _output_spec)
    deepest = {}
    for layer, output in zip(layers, outputs, strict=True):
        _, height, _, channels = output.shape
        stride = PROBE_SIZE // height
        deepest[stride] = Feature(layer.name, channels, stride)
    return list(deepest.values())


def feature_pyramid(model: keras.Model) -> keras.Model:
    """The model that returns the feature maps of `feature_info(model)`, in that order.

    Args:
        model: A model of this package; the new model shares its layers and weights.

    Returns:
        A functional model from images `(batch, height, width, channels)` to a list of
        `(batch, height / stride, width / stride, channels)`, one for each `Feature`.

    Raises:
        ValueError: If `model` has no stages of this package.

    Example:
        >>> from keras_bottleneck.models import ResNet18
        >>> [y.shape[-1] for y in feature_pyramid(ResNet18(include_top=False)).outputs]
        [64, 64, 128, 256, 512]
    """
    outputs = [model.get_layer(feature.name).output for feature in feature_info(model)]
    return keras.Model(keras_private.input_structure(model), outputs, name=f"{model.name}_pyramid")


def _stage_ends(model: keras.Model) -> list[keras.layers.Layer]:
    """The last layer of the stem and of each stage, in order."""
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise checks.reject("model", model, "a functional Keras model")
    ends = {}
    for layer in model.layers:
        name = naming.feature_map_of(layer.name)
        if name is not None:
            ends[name] = layer
    if not ends:
        raise checks.reject("model", model.name, "a model with stages of this package")
    return list(ends.values())


def _output_spec(call: keras_private.Call, args: Any, kwargs: Any) -> Any:
    """The shape that a call would give, without making the call part of a graph."""
    return call.operation.compute_output_spec(*args, **kwargs)
