"""A classifier as what fine-tuning sees: stages that have learnt something, and a head behind."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import keras

from keras_bottleneck import keras_private
from keras_bottleneck.graph.rebuild import functional

# What the models of this package call their stages, flattened or not. "head" is the last
# convolution of MobileNetV2, not a classifier.
STAGE = re.compile(r"(stem|stage\d+|head)(?=_|$)")


class Unit(NamedTuple):
    """A layer or block of a model, and the shape that leaves its first call."""

    layer: keras.layers.Layer
    shape: tuple[int | None, ...]

    @property
    def stage(self) -> str | None:
        """The stage of this package that it belongs to; None for layers of others."""
        found = STAGE.match(self.layer.name) if len(self.shape) == 4 else None
        return found.group() if found else None


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
    for unit in _units(functional(model)):
        found.setdefault(id(unit.layer), unit)
    return list(found.values())


def _units(model: keras.Model) -> Iterator[Unit]:
    for call in keras_private.calls(model):
        nested = nested_model(call.operation)
        if nested is not None:
            yield from _units(nested)
        elif isinstance(call.operation, keras.layers.Layer):
            yield Unit(call.operation, tuple(call.outputs[0].shape))


def parts(model: keras.Model) -> Parts:
    """The stages and the head of a classifier.

    The head is what has weights behind the last stage of this package, or, in models of others,
    behind the last feature map; the last layer with weights where that is none. Stages of others
    are the layers whose outputs have the same height, and are called like the last of them.

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
    everything = units(model)
    end = _end_of_backbone(model, everything)
    backbone = [unit for unit in everything[:end] if unit.layer.weights]
    head = [unit.layer for unit in everything[end:] if unit.layer.weights]
    ours = next((unit.stage for unit in backbone if unit.stage), None)
    stages: dict[object, list[keras.layers.Layer]] = {}
    key: object = ours
    for unit in backbone:
        # What has no stage or height of its own belongs to the one before.
        if ours:
            key = unit.stage or key
        elif len(unit.shape) > 2:
            key = unit.shape[1]
        stages.setdefault(key, []).append(unit.layer)
    named = [(str(key) if ours else layers[-1].name, layers) for key, layers in stages.items()]
    return Parts([Stage(name, layers) for name, layers in named], head)


def _end_of_backbone(model: keras.Model, everything: list[Unit]) -> int:
    """Index of the first unit that can belong to the head."""
    weighted = [index for index, unit in enumerate(everything) if unit.layer.weights]
    if not weighted:
        raise ValueError(
            f"`model` must have layers with weights. Received: {model.name!r} with none"
        )
    named = [index for index, unit in enumerate(everything) if unit.stage]
    maps = [index for index, unit in enumerate(everything) if len(unit.shape) == 4]
    return min(max(named or maps, default=weighted[-1]) + 1, weighted[-1])
