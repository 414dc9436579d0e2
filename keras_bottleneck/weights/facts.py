"""What decides a network's numbers but does not show in its tensors: strides, padding, epsilon."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import keras

from keras_bottleneck import checks, keras_private, naming
from keras_bottleneck.weights.wording import BUILDER, VARIANTS, Wording

PADDINGS = ("symmetric", "same")


@dataclass(frozen=True)
class Facts:
    """The settings of a network that its tensors do not show; None where they are not known.

    Attributes:
        variant: `"v1"` (bottlenecks stride on the first 1x1) or `"v1.5"` (on the 3x3).
        padding: `"symmetric"` or `"same"`, of strided convolutions.
        epsilon: Of batch norm.
    """

    variant: str | None = None
    padding: str | None = None
    epsilon: float | None = None


def variant_of(stride_on: str) -> str | None:
    """The variant that strides where `stride_on` says."""
    return next((name for name, place in VARIANTS.items() if place == stride_on), None)


def checked_facts(variant: Any, padding: Any, epsilon: Any) -> Facts:
    """The user's word on the settings.

    Raises:
        ValueError: For a value that no network has.
    """
    return Facts(
        checks.one_of("variant", variant, (None, *VARIANTS)),
        checks.one_of("padding", padding, (None, *PADDINGS)),
        None if epsilon is None else checks.number("epsilon", epsilon, above=True),
    )


def facts_of(model: keras.Model) -> Facts:
    """The settings of a network of ours, whole or flat; None where nothing in it depends on them.

    Raises:
        ValueError: If its layers differ in padding or epsilon.
    """
    layers = keras_private.sublayers(model)
    convolutions = [
        Convolution(one.name, max(one.kernel_size), max(one.strides), one.padding)
        for one in layers
        if isinstance(one, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D))
    ]
    norms = [one for one in layers if isinstance(one, keras.layers.BatchNormalization)]
    found = settings(convolutions, {one.name: one.epsilon for one in norms})
    return Facts(**{name: _only(name, values, model) for name, values in found.items()})


class Convolution(NamedTuple):
    """What matters of a convolution: its name, the sides of its kernel and stride, its padding."""

    name: str
    side: int
    stride: int
    padding: str


def settings(
    convolutions: Iterable[Convolution], epsilons: Mapping[str, float]
) -> dict[str, set[Any]]:
    """By the name of each fact, the values that it has among the layers of a network of ours.

    Args:
        convolutions: All convolutions of the network.
        epsilons: That of each batch norm, by its name.
    """
    strided = [one for one in convolutions if one.stride > 1 and naming.part_of(one.name) != "head"]
    variant = _variant({one.name for one in strided})
    return {
        "variant": {variant} - {None},
        # What is padded by a layer of its own computes without padding.
        "padding": {
            "same" if one.padding == "same" else "symmetric" for one in strided if one.side > 1
        },
        "epsilon": {value for name, value in epsilons.items() if naming.part_of(name) != "head"},
    }


def check_facts(
    model: keras.Model, known: Facts, said: Facts, source: str, wording: Wording
) -> None:
    """Compare the settings of `model` with those that the weights were trained with.

    Args:
        model: A network of ours.
        known: What the source tells.
        said: What the caller says.
        source: What the source is, for the message.
        wording: How the caller's arguments are called.

    Raises:
        ValueError: If one that matters to `model` is neither known nor said, or is another.
    """
    own = facts_of(model)
    untold, others = [], []
    for name in (field.name for field in fields(Facts)):
        has, tells, given = (getattr(facts, name) for facts in (own, known, said))
        if has is None:
            continue
        if tells is not None and given is not None and not _equal(tells, given):
            (argument, right), (_, wrong) = (wording.argument(name, one) for one in (tells, given))
            raise checks.reject(argument, wrong, f"{right!r}, as {source} was trained")
        wanted = given if tells is None else tells
        if wanted is None:
            untold.append(wording.argument(name, has))
        elif not _equal(has, wanted):
            others.append((name, has, wanted))
    if others:
        needed, present = (
            [BUILDER.argument(name, values[which]) for name, *values in others] for which in (1, 0)
        )
        raise ValueError(
            f"`model` must be built with {_listed(needed)}, as {source} was trained. "
            f"Received: model={model.name!r} with {_listed(present)}"
        )
    if untold:
        names = [name for name, _ in untold]
        raise ValueError(
            f"{' and '.join(f'`{name}`' for name in names)} must be given, as {source} does not "
            f"tell; the model has {_listed(untold)}. "
            f"Received: {_listed((name, None) for name in names)}"
        )


def _listed(settings: Iterable[tuple[str, Any]]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in settings)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-6)
    return bool(one == other)


def _variant(strided: set[str]) -> str | None:
    if any(name.endswith("_reduce_conv") for name in strided):
        return "v1"
    return "v1.5" if any(name.endswith("_spatial_conv") for name in strided) else None


def _only(name: str, found: set[Any], model: keras.Model) -> Any:
    if len(found) > 1:
        raise ValueError(
            f"`model` must have one {name} throughout. Received: model={model.name!r} with "
            f"{name} {', '.join(map(repr, sorted(found)))}"
        )
    return next(iter(found), None)
