"""A classifier as what fine-tuning sees: stages that have learnt something, and a head behind."""

import math
from typing import NamedTuple

import keras

from keras_bottleneck import keras_private, naming
from keras_bottleneck.graph.rebuild import functional
from keras_bottleneck.image_model import IN_GRAPH


class Unit(NamedTuple):
    """A layer or block of a model, as its first call finds it.

    Attributes:
        layer: Itself.
        shape: Of what leaves the call.
        height: Of the feature maps around it: of its own, or, in a side branch such as a
            squeeze-excite, of those that the branch comes back to. None where there are none.
    """

    layer: keras.layers.Layer
    shape: tuple[int | None, ...]
    height: float | None

    @property
    def stage(self) -> str | None:
        """The stage that it belongs to if it is a layer of this package; None for no such name."""
        return naming.stage_of(self.layer.name) if len(self.shape) == 4 else None


class Stage(NamedTuple):
    """Layers with weights that are frozen and thawed together; `freeze` takes the name."""

    name: str
    layers: list[keras.layers.Layer]


class Parts(NamedTuple):
    """The stages of a model, that at the input first, and the layers of its head."""

    stages: list[Stage]
    head: list[keras.layers.Layer]


def nested_model(operation: object) -> keras.Model | None:
    """The functional form of a nested functional or Sequential model, else None."""
    if isinstance(operation, keras.Model) and getattr(operation, "inputs", None):
        return functional(operation)
    return None


def units(model: keras.Model) -> list[Unit]:
    """The layers of a model and of those nested in it, each once, in the order of computation.

    Blocks count as one layer.

    Raises:
        ValueError: If `model` is subclassed or has no input shape yet.
    """
    found: dict[int, Unit] = {}
    for unit in reversed(_units(functional(model), {})):
        found.setdefault(id(unit.layer), unit)
    return list(found.values())


def _units(model: keras.Model, heights: dict[int, float]) -> list[Unit]:
    """A unit for each call, the last one first.

    Args:
        model: A functional model.
        heights: Of the tallest feature map behind each tensor, by its id; is filled.
    """
    found: list[Unit] = []
    for call in reversed(list(keras_private.calls(model))):
        height = max(heights.get(id(tensor), 0.0) for tensor in call.outputs)
        nested = nested_model(call.operation)
        if nested is not None:
            inside = dict.fromkeys(map(id, nested.outputs), height)
            found += _units(nested, inside)
            height = max(inside.get(id(tensor), 0.0) for tensor in nested.inputs)
        else:
            shape = tuple(call.outputs[0].shape)
            # Padding makes a map taller, too: maps count where branches meet and weights are.
            if len(call.inputs) > 1 or getattr(call.operation, "weights", None):
                height = max(height, _height(shape) if len(shape) == 4 else 0.0)
            if isinstance(call.operation, keras.layers.Layer):
                around = height if len(shape) == 4 else _height(shape)
                found.append(Unit(call.operation, shape, around or None))
        for tensor in call.inputs:
            heights[id(tensor)] = max(heights.get(id(tensor), 0.0), height)
    return found


def _height(shape: tuple[int | None, ...]) -> float:
    """Of a feature map or sequence, infinite where it is not known; 0 for a vector."""
    if len(shape) < 3:
        return 0.0
    return math.inf if shape[1] is None else float(shape[1])


def is_preprocessing(layer: keras.layers.Layer) -> bool:
    """Whether `layer` is what a network does to pixels: its numbers are no learnt weights.

    That is Keras's `Normalization`, and what models of this package begin with; the name of the
    latter alone may be that of anybody's layers for augmentation.
    """
    kinds = (keras.layers.Rescaling, keras.layers.Conv2D)
    ours = layer.name == IN_GRAPH and isinstance(layer, kinds)
    return ours or isinstance(layer, keras.layers.Normalization)


def parts(model: keras.Model) -> Parts:
    """The stages and the head of a classifier.

    The head is what has weights behind the last stage of this package, or, in models of others,
    behind the last feature map; the last layer with weights where that is none. Stages of others
    are the layers among feature maps of the same height, and are called like the last of them.

    Args:
        model: A functional or built Sequential classifier; it may hold the backbone as a model.

    Raises:
        ValueError: If `model` is something else, or has no weights.

    Example:
        >>> from keras_bottleneck.models import ResNet18
        >>> found = parts(ResNet18(classes=10))
        >>> [stage.name for stage in found.stages], [layer.name for layer in found.head]
        (['stem', 'stage1', 'stage2', 'stage3', 'stage4'], ['predictions'])
    """
    everything = [unit for unit in units(model) if not is_preprocessing(unit.layer)]
    ours = any(unit.stage and naming.is_stage(unit.stage) for unit in everything)
    end = _end_of_backbone(model, everything, ours)
    backbone = [unit for unit in everything[:end] if unit.layer.weights]
    head = [unit.layer for unit in everything[end:] if unit.layer.weights]
    stages: dict[object, list[keras.layers.Layer]] = {}
    key: object = next((unit.stage for unit in backbone if unit.stage), None) if ours else None
    for unit in backbone:
        # What has no stage or height of its own belongs to the one before.
        key = (unit.stage if ours else unit.height) or key
        stages.setdefault(key, []).append(unit.layer)
    named = [(str(key) if ours else layers[-1].name, layers) for key, layers in stages.items()]
    return Parts([Stage(name, layers) for name, layers in named], head)


def _end_of_backbone(model: keras.Model, everything: list[Unit], ours: bool) -> int:
    """Index of the first unit that can belong to the head."""
    weighted = [index for index, unit in enumerate(everything) if unit.layer.weights]
    if not weighted:
        raise ValueError(
            f"`model` must have layers with weights. Received: {model.name!r} with none"
        )
    last = [
        index
        for index, unit in enumerate(everything)
        if (unit.stage if ours else len(unit.shape) == 4)
    ]
    return min(max(last, default=weighted[-1]) + 1, weighted[-1])
