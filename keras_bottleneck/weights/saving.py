"""`save`: the weights of a network of this package in a file that other libraries read."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_bottleneck import checks
from keras_bottleneck.files import replacing
from keras_bottleneck.weights.facts import facts_of, stored_facts
from keras_bottleneck.weights.layouts import (
    OWN,
    TORCHVISION_MOBILENET_V2,
    TORCHVISION_RESNET,
    Layout,
)
from keras_bottleneck.weights.matching import Names, Place, places_in
from keras_bottleneck.weights.reading import FACTS
from keras_bottleneck.weights.tensors import as_array

# Each with the layouts that are tried.
SAVED: dict[str, tuple[Layout, ...]] = {
    "torchvision": (TORCHVISION_RESNET, TORCHVISION_MOBILENET_V2),
    "keras": (OWN,),
}


def save(model: keras.Model, path: str | Path, layout: str = "torchvision") -> Path:
    """Write the weights of `model` into a safetensors file, from which `load` brings them back.

    The settings that do not show in tensors go with them, for `load` to compare.

    Args:
        model: A network of this package, whole or flat.
        path: A file name that ends in `.safetensors`.
        layout: `"torchvision"`, for `load_state_dict` of its networks, or `"keras"`: this
            package's names of layers and Keras's of variables, such as `stem_conv/kernel`.

    Returns:
        The path.

    Raises:
        ValueError: If an argument is wrong, the layout has no name for a layer of `model`, or the
            file cannot be written.

    Example:
        >>> import keras_bottleneck as kb
        >>> model = kb.ResNet("basic", (1,), filters=(8,), stem="cifar", classes=3)
        >>> save(model, "small.safetensors").name
        'small.safetensors'
    """
    if not isinstance(model, keras.Model):
        raise checks.reject("model", model, "a Keras model")
    checks.one_of("layout", layout, SAVED)
    target = Path(path) if isinstance(path, (str, Path)) else None
    if target is None or target.suffix != ".safetensors" or target.is_dir():
        raise checks.reject("path", path, "a file name that ends in .safetensors")
    places = places_in(model)
    tensors = _named(model, places, layout)
    facts = json.dumps(stored_facts(facts_of(model)))
    _write(target, tensors, {FACTS: facts, "format": "pt" if layout == "torchvision" else "np"})
    return target


def _named(model: keras.Model, places: list[Place], layout: str) -> dict[str, Any]:
    """The arrays of a model under the names of a layout."""
    for candidate in SAVED[layout]:
        names = Names(candidate, places)
        unnamed = [
            place.layer
            for place in places
            if names.name(place) is None or (candidate is not OWN and _is_folded(place))
        ]
        if not unnamed:
            named = {str(names.name(place)): _array(place, candidate) for place in places}
            if len(named) < len(places):
                raise ValueError(
                    "`model` must hold one network of this package. "
                    f"Received: model={model.name!r} with layers of equal names"
                )
            return named
    raise ValueError(
        f"`layout` must be 'keras' for model {model.name!r}: {layout} has no name for its layer "
        f"{unnamed[0]!r}. Received: layout={layout!r}"
    )


def _is_folded(place: Place) -> bool:
    """Whether it is the bias that a batch norm has left: other libraries' networks have none."""
    return place.kind in ("conv", "depthwise") and place.name == "bias"


def _array(place: Place, layout: Layout) -> Any:
    array = as_array(place.variable)
    axes = layout.axes(place.kind, place.name)
    return np.ascontiguousarray(array.transpose(np.argsort(axes)) if axes else array)


def _write(path: Path, tensors: dict[str, Any], metadata: dict[str, str]) -> None:
    from safetensors.numpy import save_file

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as scratch:
            save_file(tensors, scratch, metadata)
    except OSError as error:
        reason = error.strerror or checks.first_line(error)
        accepted = f"a file in a folder that can be written ({reason})"
        raise checks.reject("path", str(path), accepted) from None
