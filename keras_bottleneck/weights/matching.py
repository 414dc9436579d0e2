"""Which tensor of a source goes into which variable of a model, and all that does not fit."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_bottleneck import checks, keras_private, naming
from keras_bottleneck.image_model import IN_GRAPH
from keras_bottleneck.weights.layouts import Layout, count_blocks
from keras_bottleneck.weights.tensors import (
    Array,
    Tensor,
    Tensors,
    as_array,
    named_once,
    own_variables,
    printable,
)

KINDS: dict[str, type] = {
    "depthwise": keras.layers.DepthwiseConv2D,
    "conv": keras.layers.Conv2D,
    "dense": keras.layers.Dense,
    "norm": keras.layers.BatchNormalization,
}

# By the part of a network, what helps where all that does not fit belongs to that part.
Advice = Mapping[str, str]
REBUILD: Advice = {
    "stem": "build the model with another `stem`",
    "shortcut": "build the model with another `shortcut`",
}


@dataclass(frozen=True)
class Place:
    """A variable of a model, to be loaded or saved."""

    layer: str
    kind: str
    name: str
    variable: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the variable."""
        return tuple(self.variable.shape)

    @property
    def dtype(self) -> str:
        """The dtype that the variable keeps."""
        return str(keras.backend.standardize_dtype(self.variable.dtype))

    @property
    def part(self) -> str:
        """The part of the network that advice is given for where the tensor does not fit."""
        return naming.part_of(self.layer)


def places_in(model: keras.Model) -> list[Place]:
    """The variables of all layers of `model` but of what it does to pixels, which is no weight."""
    places = []
    for layer in keras_private.sublayers(model):
        if layer.name == IN_GRAPH:
            continue
        kind = next((kind for kind, of in KINDS.items() if isinstance(layer, of)), "other")
        places += [Place(layer.name, kind, one.name, one) for one in own_variables(layer)]
    return places


class Names:
    """What a layout calls the variables of one model."""

    def __init__(self, layout: Layout, places: Sequence[Place]) -> None:
        self.layout = layout
        self._blocks = count_blocks(place.layer for place in places)
        self._biased = {place.layer for place in places if place.name == "bias"}

    def name(self, place: Place) -> str | None:
        """The name of the tensor for `place`; None where the layout has none."""
        if not self.layout.layers:  # this package's names
            return f"{place.layer}{self.layout.separator}{place.name}"
        if place.name not in self.layout.variables.get(place.kind, ()):
            return None
        return self._tensor(place.layer, place.kind, place.name)

    def absorbed_bias(self, place: Place) -> str | None:
        """For the mean of a batch norm: the name of the bias that the layer before it lacks."""
        convolution = place.layer.removesuffix("_bn") + "_conv"
        if place.name != "moving_mean" or convolution in self._biased:
            return None
        return self._tensor(convolution, "conv", "bias")

    def part(self, name: str) -> str:
        """The part to which a tensor belongs whose name is that of no variable."""
        layer = name.rpartition(self.layout.separator)[0]
        return self.layout.part_of(layer) if self.layout.layers else naming.part_of(layer)

    def _tensor(self, layer: str, kind: str, variable: str) -> str | None:
        found = self.layout.layer(layer, self._blocks)
        return None if found is None else self.layout.tensor(found, kind, variable)


@dataclass(frozen=True)
class Assignment:
    """A place, the tensor for it, and the bias that its batch norm absorbs, with its name."""

    place: Place
    name: str
    tensor: Tensor
    axes: tuple[int, ...]
    bias: tuple[str, Tensor] | None

    def value(self) -> Array:
        """What the variable becomes.

        Raises:
            ValueError: If the tensor holds numbers that no trained network has.
        """
        array = _read(self.name, self.tensor)
        if self.place.name == "moving_variance" and array.min() < 0:
            raise ValueError(
                f"`source` must hold variances of at least 0. Received: {self.name} with "
                f"{array.min():g}"
            )
        if self.bias is not None:
            # x + bias - mean is x - (mean - bias).
            array = array.astype(np.float64) - _read(*self.bias)
        if self.axes:
            array = array.transpose(self.axes)
        if array.shape != self.place.shape:
            array = _adapted(array, self.place.shape[-2])
        with np.errstate(over="ignore"):
            array = array.astype(self.place.dtype)
        return _finite(self.name, array)


@dataclass(frozen=True)
class Misfit:
    """One reason why a source is refused."""

    kind: str
    what: str
    part: str


def planned(
    places: Sequence[Place],
    layout: Layout,
    found: Tensors,
    skip_head: bool,
    adapt_stem: bool,
    advice: Advice,
) -> list[Assignment]:
    """One tensor for each place, but for the head's where that is skipped.

    Raises:
        ValueError: If a tensor is missing, left over or of another shape; all are listed.
    """
    tensors = named_once((layout.unwrapped(name), one) for name, one in found.by_name.items())
    names = Names(layout, places)
    plan: list[Assignment] = []
    misfits: list[Misfit] = []
    used: set[str | None] = set()
    for place in places:
        if skip_head and place.part == "head":
            continue
        name = names.name(place)
        used.add(name)
        if name is None:
            misfits.append(Misfit("no name for", f"{place.layer}/{place.name}", place.part))
        elif name not in tensors:
            misfits.append(Misfit("without", name, place.part))
        else:
            absorbed = names.absorbed_bias(place)
            bias = (absorbed, tensors[absorbed]) if absorbed in tensors else None
            used.add(absorbed)
            axes = layout.axes(place.kind, place.name)
            plan.append(Assignment(place, name, tensors[name], axes, bias))
    misfits += [
        Misfit("with also", printable(name), names.part(name))
        for name in tensors
        if name not in used
        and not name.endswith(layout.ignored)
        and not name.startswith(f"{IN_GRAPH}/")
    ]
    misfits += _misshaped(plan, adapt_stem)
    if skip_head:
        misfits = [one for one in misfits if one.part != "head"]
    if misfits:
        raise _refusal(misfits, found.described, layout, advice)
    return plan


def _misshaped(plan: list[Assignment], adapt_stem: bool) -> Iterator[Misfit]:
    for one in plan:
        shape, wanted = one.tensor.shape, one.place.shape
        if len(shape) == len(one.axes):
            shape = tuple(shape[axis] for axis in one.axes)
        others = [(*sides[:2], *sides[3:]) for sides in (shape, wanted)]
        stem = one.place.part == "stem" and len(shape) == 4 and others[0] == others[1]
        if shape != wanted and not (stem and adapt_stem):
            part = "stem channels" if stem else one.place.part
            yield _misshape(one.name, shape, wanted, part)
        if one.bias is not None and one.bias[1].shape != wanted:
            yield _misshape(one.bias[0], one.bias[1].shape, wanted, one.place.part)


def _misshape(name: str, shape: tuple[int, ...], wanted: tuple[int, ...], part: str) -> Misfit:
    return Misfit("with", f"{name} of shape {printable(str(shape))} instead of {wanted}", part)


def _refusal(misfits: list[Misfit], source: str, layout: Layout, advice: Advice) -> ValueError:
    parts = {one.part for one in misfits}
    # Advice helps only where all misfits have one cause.
    remedy = {**REBUILD, **advice}.get(parts.pop()) if len(parts) == 1 else None
    in_brackets = f" ({remedy})" if remedy else ""
    kinds = dict.fromkeys(one.kind for one in misfits)
    listed = [
        f"{kind} {checks.a_few([one.what for one in misfits if one.kind == kind])}"
        for kind in kinds
    ]
    return ValueError(
        f"`source` must hold the tensors of the model and no others{in_brackets}. "
        f"Received: {source}, read as {layout.name}, {'; '.join(listed)}"
    )


def _read(name: str, tensor: Tensor) -> Array:
    try:
        array = as_array(tensor.read())
    except Exception as error:  # damage to a file may show no earlier than here
        raise ValueError(
            f"`source` must hold tensors of numbers. Received: {name} ({checks.first_line(error)})"
        ) from None
    if array.shape != tensor.shape:
        raise ValueError(
            f"`source` must hold tensors of numbers. Received: {name} of shape {array.shape} that "
            f"was announced as {tensor.shape}"
        )
    return _finite(name, array)


def _finite(name: str, array: Array) -> Array:
    if not np.isfinite(array).all():
        raise ValueError(f"`source` must hold finite numbers. Received: NaN or infinity in {name}")
    return array


def _adapted(kernel: Array, channels: int) -> Array:
    """A kernel (height, width, inputs, outputs) for another number of input channels.

    Source: `adapt_input_conv` of timm.
    """
    if channels == 1:
        return np.asarray(kernel.sum(axis=-2, keepdims=True))
    given = kernel.shape[-2]
    repeated = kernel[:, :, np.arange(channels) % given]
    return np.asarray(repeated * np.float32(given / channels))
