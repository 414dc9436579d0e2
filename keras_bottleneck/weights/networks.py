"""Which of the tensors of a source are those of the network: those behind one prefix, or all."""

import warnings
from collections.abc import Collection
from dataclasses import replace

from keras_bottleneck import checks, naming
from keras_bottleneck.weights.layouts import LAYOUTS, Layout, recognised
from keras_bottleneck.weights.tensors import RefusedError, Tensors, named_once, printable

# A file may hold any number of names, and dots in them.
MOST, DEEPEST = 64, 8
# Keras 2 gave the kernel of a depthwise convolution a name of its own.
RENAMED = {"depthwise_kernel": "kernel"}


def network_in(found: Tensors, prefix: str | None, remedy: str) -> tuple[Tensors, Layout]:
    """The tensors of the one network in `found`, called without its prefix, and their layout.

    Prefixes that training scripts put before all names are left to `Layout.unwrapped`. Tensors
    beside the network are left out, with a warning unless the user has given the prefix.

    Args:
        found: What a source holds.
        prefix: That of the network; None where the user has given none.
        remedy: What the message for several networks advises.

    Raises:
        ValueError: If there is no network, or there are several and `prefix` chooses none.
    """
    carriers = prefixes(found.by_name)
    if prefix is None and len(carriers) > 1:
        chosen = " or ".join(f"prefix={printable(one)!r}" for one in carriers)
        raise RefusedError(
            f"`source` must be one network ({remedy}). Received: "
            f"{found.described}, with networks behind {chosen}"
        )
    if prefix is not None and prefix not in carriers:
        listed = ", ".join(repr(printable(one)) for one in carriers) or "None"
        accepted = f"the beginning of the names of a whole network, here {listed}"
        raise checks.reject("prefix", prefix, accepted)
    chosen = prefix if prefix is not None else "".join(carriers)
    others = [one for one in carriers if one != chosen]
    inside = [name for name in found.by_name if _belongs(name, chosen, others)]
    if prefix is None and len(inside) < len(found.by_name):
        _warn(found, chosen, set(inside))
    tensors = named_once((own_name(name[len(chosen) :]), found.by_name[name]) for name in inside)
    layout = recognised(tensors)
    if layout is None:
        accepted = f"weights of one of: {', '.join(one.name for one in LAYOUTS)}"
        raise checks.reject("source", sorted(tensors), accepted)
    return replace(found, by_name=tensors), layout


def own_name(name: str) -> str:
    """Layer and variable of the name of a tensor, as Keras 3 calls them.

    `block/layer/depthwise_kernel:0` is `layer/kernel`; a name without a slash stays as it is.
    """
    if "/" not in name:
        return name
    *_, layer, variable = name.split("/")
    variable = variable.partition(":")[0]
    return f"{layer}/{RENAMED.get(variable, variable)}"


def prefixes(names: Collection[str]) -> list[str]:
    """What the names of each whole network among `names` begin with; "" for nothing."""
    known = set(names)
    found: list[str] = []
    for name in [one for one in names if _begins_network(one, known)][:MOST]:
        prefix = _prefix_of(name, names)
        if prefix is not None and prefix not in found:
            found.append(prefix)
    if found and "" not in found:
        beside = [name for name in names if not name.startswith(tuple(found))]
        if any(_carried(beside, "", name) for name in beside if _begins_network(name, known)):
            found.insert(0, "")
    return found


def _begins_network(name: str, names: Collection[str]) -> bool:
    """Whether `name` may be that of a network's first tensor: the others of its marks are there."""
    for layout in LAYOUTS:
        first, *others = layout.marks
        if "/" in first and own_name(name) == first:
            return True
        before = name.removesuffix(first)
        begins = before != name and before[-1:] in ("", ".")
        if begins and all(f"{before}{one}" in names for one in others):
            return True
    return False


def _prefix_of(name: str, names: Collection[str]) -> str | None:
    """The shortest prefix of the network whose first tensor is `name`; None if there is none.

    Where all of the network is behind a longer one, and other tensors are not, it is that.
    """
    ends = [place for place, sign in enumerate(name, start=1) if sign in "./"]
    candidates = {
        one: _carried(names, one, name) for one in ("", *(name[:i] for i in ends[:DEEPEST]))
    }
    carriers = {one: layout for one, layout in candidates.items() if layout is not None}
    for prefix, layout in carriers.items():
        outside = [one for one in names if not one.startswith(prefix)]
        beside = [one for one in outside if not one.endswith(layout.ignored)]
        if beside and not any(_knows(layout, one) for one in beside):
            return prefix
    return next(iter(carriers), None)


def _carried(names: Collection[str], prefix: str, first: str) -> Layout | None:
    """The layout of the one network behind `prefix`, if its first tensor is called `first`."""
    inside = [own_name(name[len(prefix) :]) for name in names if name.startswith(prefix)]
    layout = recognised(inside)
    if layout is None or layout.unwrapped(own_name(first[len(prefix) :])) != layout.marks[0]:
        return None
    unwrapped = {layout.unwrapped(name) for name in inside}
    return layout if len(unwrapped) == len(inside) else None


def _knows(layout: Layout, name: str) -> bool:
    """Whether `name` may be that of a tensor of a network in `layout`, its classifier included."""
    layer = layout.unwrapped(own_name(name)).rpartition(layout.separator)[0]
    if not layout.layers:
        return layer == naming.CLASSIFIER or naming.part_of(layer) != "head"
    return layer == layout.layers[naming.CLASSIFIER] or layout.part_of(layer) != "head"


def _belongs(name: str, prefix: str, others: list[str]) -> bool:
    """Whether `name` begins with `prefix`, and not with what is a longer one of `others`."""
    inside = tuple(one for one in others if one.startswith(prefix))
    return name.startswith(prefix) and not name.startswith(inside)


def _warn(found: Tensors, prefix: str, inside: Collection[str]) -> None:
    others = [printable(name) for name in found.by_name if name not in inside]
    warnings.warn(
        f"Of {found.described}, the network behind the prefix {printable(prefix)!r} was taken, and "
        f"not {checks.a_few(others)}: with `prefix={printable(prefix)!r}` this is meant.",
        stacklevel=5,
    )
