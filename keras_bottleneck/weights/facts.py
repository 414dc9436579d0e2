"""What decides a network's numbers but does not show in its tensors: strides, padding, epsilon."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, NamedTuple

import keras

from keras_bottleneck import checks, keras_private, naming

STRIDES = ("1x1", "3x3")
PADDINGS = ("symmetric", "same")
STRIDING_BLOCKS = ("first", "last")
# Where bottlenecks stride in the variants that the literature names, as files of `save` do.
VARIANTS = {"v1": "1x1", "v1.5": "3x3"}


@dataclass(frozen=True)
class Facts:
    """The settings of a network that its tensors do not show; None where they are not known.

    Attributes:
        stride_on: `"1x1"` (v1) or `"3x3"` (v1.5), the convolution of a bottleneck that strides.
        padding: `"symmetric"` or `"same"`, of strided convolutions.
        epsilon: Of batch norm.
        stride_at: Which block of a stage strides: its `"first"`, or the `"last"` of the one before.
    """

    stride_on: str | None = None
    padding: str | None = None
    epsilon: float | None = None
    stride_at: str | None = None


def checked_facts(stride_on: Any, padding: Any, epsilon: Any) -> Facts:
    """The settings that a user gives.

    Raises:
        ValueError: For a value that no network has.
    """
    return Facts(
        checks.one_of("stride_on", stride_on, (None, *STRIDES)),
        checks.one_of("padding", padding, (None, *PADDINGS)),
        None if epsilon is None else checks.number("epsilon", epsilon, above=True),
    )


def stored_facts(facts: Facts) -> dict[str, Any]:
    """The entries of a file for `facts`."""
    variants = {place: name for name, place in VARIANTS.items()}
    entries = asdict(facts)
    if facts.stride_at != "last":  # earlier versions read no such entry
        del entries["stride_at"]
    return {"variant": variants.get(entries.pop("stride_on")), **entries}


def facts_stored(
    variant: Any = None, padding: Any = None, epsilon: Any = None, stride_at: Any = "first"
) -> Facts:
    """The facts that the entries of a file tell.

    Raises:
        ValueError: For a value that no network has.
    """
    checks.one_of("variant", variant, (None, *VARIANTS))
    checks.one_of("stride_at", stride_at, STRIDING_BLOCKS)
    return replace(checked_facts(VARIANTS.get(variant), padding, epsilon), stride_at=stride_at)


def facts_of(model: keras.Model) -> Facts:
    """The settings of a network of this package, whole or flat; None where they do not matter.

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
    """By the name of each fact, its values among the layers of a network of this package.

    Args:
        convolutions: All convolutions of the network.
        epsilons: That of each batch norm, by its name.
    """
    strided = [one for one in convolutions if one.stride > 1 and naming.part_of(one.name) != "head"]
    stride_on = _stride_on({one.name for one in strided})
    return {
        "stride_on": {stride_on} - {None},
        "stride_at": stride_at(one.name for one in strided),
        # What is padded by a layer of its own computes without padding.
        "padding": {
            "same" if one.padding == "same" else "symmetric" for one in strided if one.side > 1
        },
        "epsilon": {value for name, value in epsilons.items() if naming.part_of(name) != "head"},
    }


def check_facts(model: keras.Model, known: Facts, said: Facts, source: str) -> None:
    """Compare the settings of `model` with those that the weights were trained with.

    Args:
        model: A network of this package.
        known: The settings that the source tells.
        said: The settings that the caller gives.
        source: The name of the source in messages.

    Raises:
        ValueError: If one that matters to `model` is neither known nor given, or differs.
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
        if wanted is not None and not _equal(has, wanted):
            others.append((name, has, wanted))
        elif wanted is None and name != "stride_at":  # which no caller can say
            untold.append((name, has))
    if others:
        needed, present = ([(name, values[which]) for name, *values in others] for which in (1, 0))
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


def _stride_on(strided: set[str]) -> str | None:
    if any(name.endswith("_reduce_conv") for name in strided):
        return "1x1"
    return "3x3" if any(name.endswith("_spatial_conv") for name in strided) else None


def stride_at(strided: Iterable[str]) -> set[str]:
    """Where the blocks with the named layers, which all stride, stand in their stages.

    The first stage never strides at its first block, and no block strides in the middle of a stage:
    a network in which another one than the first block of a later stage does, does so at the last.
    """
    places = [place for name in strided if (place := naming.in_block(name)) is not None]
    if any(place.stage == 1 or place.block > 1 for place in places):
        return {"last"}
    return {"first"} if places else set()


def _only(name: str, found: set[Any], model: keras.Model) -> Any:
    if len(found) > 1:
        raise ValueError(
            f"`model` must have one {name} throughout. Received: model={model.name!r} with "
            f"{name} {', '.join(map(repr, sorted(found)))}"
        )
    return next(iter(found), None)
