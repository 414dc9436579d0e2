"""Small networks, and state dicts for them that are written down here, not by the package."""

import keras
import numpy as np

import keras_bottleneck as kb
from keras_bottleneck import keras_private

# What a source in torchvision's layout does not tell of a network of basic blocks.
TOLD = {"epsilon": 1e-5}


def basic(**arguments):
    """Two basic blocks behind the stem of ImageNet."""
    defaults = {
        "filters": (4, 8),
        "classes": 3,
        "input_shape": (32, 32, 3),
        "classifier_activation": None,
    }
    return kb.ResNet("basic", (1, 1), **{**defaults, **arguments})


def bottleneck(**arguments):
    """Two bottlenecks."""
    defaults = {"filters": (4, 8), "classes": 3, "input_shape": (32, 32, 3)}
    return kb.ResNet("bottleneck", (1, 1), **{**defaults, **arguments})


def mobilenet(**arguments):
    """The smallest MobileNetV2."""
    defaults = {"alpha": 0.1, "classes": 3, "classifier_activation": None}
    return kb.MobileNetV2((32, 32, 3), **{**defaults, **arguments})


def torchvision_state(classes=3, channels=3, size=7, seed=0):
    """Trained weights for `basic()`, as torchvision calls and stores them."""
    generator = np.random.default_rng(seed)

    def normal(*shape):
        return generator.normal(0, 0.3, shape).astype(np.float32)

    def norm(name, channels):
        return {
            f"{name}.weight": generator.uniform(0.5, 1.5, channels).astype(np.float32),
            f"{name}.bias": normal(channels),
            f"{name}.running_mean": normal(channels),
            f"{name}.running_var": generator.uniform(0.5, 1.5, channels).astype(np.float32),
            f"{name}.num_batches_tracked": np.array(7),
        }

    return {
        "conv1.weight": normal(4, channels, size, size),
        **norm("bn1", 4),
        "layer1.0.conv1.weight": normal(4, 4, 3, 3),
        **norm("layer1.0.bn1", 4),
        "layer1.0.conv2.weight": normal(4, 4, 3, 3),
        **norm("layer1.0.bn2", 4),
        "layer2.0.conv1.weight": normal(8, 4, 3, 3),
        **norm("layer2.0.bn1", 8),
        "layer2.0.conv2.weight": normal(8, 8, 3, 3),
        **norm("layer2.0.bn2", 8),
        "layer2.0.downsample.0.weight": normal(8, 4, 1, 1),
        **norm("layer2.0.downsample.1", 8),
        "fc.weight": normal(classes, 8),
        "fc.bias": normal(classes),
    }


def variables(model):
    """Each variable of a model by the names of its layer and its own, as an array of float64."""
    return {
        f"{layer.name}/{one.name}": np.asarray(keras.ops.convert_to_numpy(one), np.float64)
        for layer in keras_private.sublayers(model)
        if not keras_private.sublayers(layer)
        for one in layer.weights
    }


def equal(one, other):
    """Whether two models hold the same numbers under the same names, bit for bit."""
    left, right = variables(one), variables(other)
    return left.keys() == right.keys() and all(
        np.array_equal(left[name], right[name]) for name in left
    )
