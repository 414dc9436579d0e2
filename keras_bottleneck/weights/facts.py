"""What decides a network's numbers but does not show in its tensors: strides, padding, epsilon."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import keras

from keras_bottleneck import checks, keras_private
from keras_bottleneck.weights.names import part_of

# Where a bottleneck strides, by the name that the literature has for it.
VARIANTS = {"v1": "1x1", "v1.5": "3x3"}
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
    layers = [one for one in keras_private.sublayers(model) if part_of(one.name) != "head"]
    strided = [one for one in layers if _is_convolution(one) and max(one.strides) > 1]
    padded = [one for one in strided if max(one.kernel_size) > 1]
    return Facts(
        variant=_variant({one.name for one in strided}),
        padding=_only("padding", {_padding(one) for one in padded}, model),
        epsilon=_only("epsilon", {one.epsilon for one in layers if _is_norm(one)}, model),
    )


def check_facts(
    model: keras.Model, known: Facts, said: Facts, source: str, needed: bool = True
) -> None:
    """Compare the settings of `model` with those that the weights were trained with.

    Args:
        model: A network of ours.
        known: What the source tells.
        said: What the caller says.
        source: What the source is, for the message.
        needed: Whether one that nobody tells is an error.

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
            raise checks.reject(name, given, f"{tells!r}, as {source} was trained")
        wanted = given if tells is None else tells
        if wanted is None and needed:
            untold.append((name, has))
        if wanted is not None and not _equal(has, wanted):
            others.append(_argument(name, has, wanted))
    if others:
        raise ValueError(
            f"`model` must be built with {_listed((name, value) for name, _, value in others)}, as "
            f"{source} was trained. Received: model={model.name!r} with "
            f"{_listed((name, value) for name, value, _ in others)}"
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


def _argument(name: str, has: Any, wanted: Any) -> tuple[str, Any, Any]:
    """The builder's argument for a setting, and both values of it."""
    if name == "variant":
        return "stride_on", VARIANTS[has], VARIANTS[wanted]
    return name, has, wanted


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-6)
    return bool(one == other)


def _variant(strided: set[str]) -> str | None:
    if any(name.endswith("_reduce_conv") for name in strided):
        return "v1"
    return "v1.5" if any(name.endswith("_spatial_conv") for name in strided) else None


def _padding(layer: Any) -> str:
    # What is padded by a layer of its own computes without padding.
    return "same" if layer.padding == "same" else "symmetric"


def _only(name: str, found: set[Any], model: keras.Model) -> Any:
    if len(found) > 1:
        raise ValueError(
            f"`model` must have one {name} throughout. Received: model={model.name!r} with "
            f"{name} {', '.join(map(repr, sorted(found)))}"
        )
    return next(iter(found), None)


def _is_convolution(layer: Any) -> bool:
    return isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D))


def _is_norm(layer: Any) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)
