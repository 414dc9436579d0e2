"""Which part of a model training may change."""

from typing import Any

import keras

from keras_bottleneck import checks, keras_private
from keras_bottleneck.graph.rebuild import functional
from keras_bottleneck.training.stages import is_preprocessing, nested_model, units


def freeze(model: keras.Model, up_to: str | None) -> None:
    """Freezes everything from the input through a stage or layer, and thaws everything else.

    A frozen layer keeps its weights, and a frozen batch norm its statistics too: it normalizes
    with them, as at inference. Layers in nested models are found, and of such a model only the
    part up to the layer is frozen. In a model with branches, frozen is what the layer depends on.
    Preprocessing in the graph is never trained.

    A model that was compiled before must be compiled again.

    Args:
        model: A functional or built `Sequential` model.
        up_to: Name of a layer, or the beginning of the names of several, up to an underscore:
            "stage3" is all blocks of the third stage, in a flattened model all layers of theirs.
            None thaws the whole model.

    Raises:
        ValueError: If `model` is something else, or has no layer of that name.

    Example:
        >>> from keras_bottleneck.models import ResNet18
        >>> model = ResNet18(classes=10)
        >>> freeze(model, up_to="stage3")
        >>> [layer.name for layer in model.layers if layer.trainable and layer.weights]
        ['stage4_block1', 'stage4_block2', 'predictions']
    """
    graph = functional(model)
    frozen = [] if up_to is None else _through(graph, _matched(model, up_to))
    thaw(model)
    for layer in frozen:
        layer.trainable = False


def thaw(model: keras.Model) -> None:
    """Makes `model` and every layer inside it trainable, but for what it does to pixels.

    One by one: on TensorFlow, `trainable = True` of a model that is trainable already does not
    reach its frozen layers.
    """
    for layer in (model, *keras_private.sublayers(model)):
        layer.trainable = True
    hold_preprocessing(model)


def hold_preprocessing(model: keras.Model) -> None:
    """Freezes what `model` does to pixels, which `model.trainable = True` has thawed, too."""
    for layer in filter(is_preprocessing, keras_private.sublayers(model)):
        layer.trainable = False


def _matched(model: keras.Model, up_to: Any) -> set[int]:
    """Ids of the layers of that name, else of those whose names begin with it."""
    found = units(model)
    layers = {id(unit.layer): unit.layer for unit in found}
    exact = {key for key, layer in layers.items() if layer.name == up_to}
    begun = {key for key, layer in layers.items() if layer.name.startswith(f"{up_to}_")}
    if not isinstance(up_to, str) or not (exact or begun):
        names = [unit.stage or unit.layer.name for unit in found if unit.layer.weights]
        checks.one_of("up_to", up_to, list(dict.fromkeys([*names, None])))
    return exact or begun


def _through(model: keras.Model, wanted: set[int]) -> list[keras.layers.Layer]:
    """The layers of `model` that have a wanted one behind them or are one; [] if none is."""
    found: list[keras.layers.Layer] = []
    needed: set[int] = set()
    for call in reversed(list(keras_private.calls(model))):
        nested = nested_model(call.operation)
        if id(call.operation) in wanted or any(id(output) in needed for output in call.outputs):
            frozen = [call.operation]
        else:
            frozen = [] if nested is None else _through(nested, wanted)
        if frozen:
            found += [one for one in frozen if isinstance(one, keras.layers.Layer)]
            needed.update(id(tensor) for tensor in call.inputs)
    return found
