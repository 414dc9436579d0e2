"""Argument checks: each raises one `ValueError` sentence that names the argument.

Every message has the same shape, so that a user learns to read it once:
what the argument must be, then what was received.
"""

import difflib
import math
import os
from collections.abc import Collection, Iterable, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

# Longest representation of a value in a message, in characters.
SHOWN = 300
# How many names of many a sentence gives.
FEW = 5


def reject(name: str, value: object, accepted: str) -> ValueError:
    """What to raise for a wrong argument, such as `reject("stride", 0, "a positive integer")`."""
    # One line whatever the value: an array's repr would fill the screen.
    shown = " ".join(repr(value).split())
    shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}..."
    return ValueError(f"`{name}` must be {accepted}. Received: {name}={shown}")


def a_few(items: Sequence[Any]) -> str:
    """The first of the items in a sentence, and how many more there are."""
    more = f" and {len(items) - FEW} more" if len(items) > FEW else ""
    return ", ".join(map(str, items[:FEW])) + more


def first_line(error: BaseException) -> str:
    """The first line of what another library says, to be quoted in one sentence of ours."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    first = lines[0].strip().rstrip(".")[:SHOWN]
    # It may quote a damaged file.
    return first if first.isprintable() else ascii(first)[1:-1]


def one_of(name: str, value: Any, accepted: Collection[Any]) -> Any:
    """`value`, if it is among `accepted`; the error suggests the nearest name."""
    if any(value is item or (type(value) is type(item) and value == item) for item in accepted):
        return value
    raise reject(name, value, "one of " + ", ".join(map(repr, accepted)) + meant(value, accepted))


def meant(value: Any, accepted: Iterable[Any]) -> str:
    """The hint to the one of `accepted` that is written most like `value`; "" where none is."""
    names = {str(item).lower(): str(item) for item in accepted}
    near = difflib.get_close_matches(str(value).lower(), names, n=1)
    return f" (did you mean {names[near[0]]!r}?)" if near else ""


def integer(name: str, value: Any, minimum: int = 1) -> int:
    """`value` as an int of at least `minimum`; booleans and floats are refused."""
    if isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= minimum:
        return int(value)
    raise reject(name, value, f"an integer of at least {minimum}")


def number(
    name: str,
    value: Any,
    minimum: float = 0.0,
    maximum: float = math.inf,
    *,
    above: bool = False,
    below: bool = False,
) -> float:
    """`value` as a finite float in [minimum, maximum]; `above` / `below` make that end open."""
    real = _as_float(value) if isinstance(value, Real) and not isinstance(value, bool) else None
    if real is not None and math.isfinite(real):
        low = real > minimum if above else real >= minimum
        high = real < maximum if below else real <= maximum
        if low and high:
            return real
    lower = f"{'above' if above else 'of at least'} {minimum:g}"
    upper = "" if maximum == math.inf else f" and {'below' if below else 'at most'} {maximum:g}"
    raise reject(name, value, f"a number {lower}{upper}")


def _as_float(value: Real) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer that no float is near
        return math.inf


def boolean(name: str, value: Any) -> bool:
    """`value`, if it is True or False."""
    if isinstance(value, bool):
        return value
    raise reject(name, value, "True or False")


def integers(name: str, value: Any, length: int | None = None, minimum: int = 1) -> tuple[int, ...]:
    """`value` as a tuple of ints of at least `minimum`, `length` of them where that is given."""
    wanted = f"a sequence of {'' if length is None else f'{length} '}integers of at least {minimum}"
    if not isinstance(value, Iterable) or isinstance(value, (str, bytes, dict)):
        raise reject(name, value, wanted)
    items = tuple(value)
    if not items or (length is not None and len(items) != length):
        raise reject(name, value, wanted)
    try:
        return tuple(integer(name, item, minimum) for item in items)
    except ValueError:
        raise reject(name, value, wanted) from None


def size(name: str, value: Any) -> tuple[int, int]:
    """`value` as (height, width): one integer stands for both."""
    if isinstance(value, Integral):
        side = integer(name, value)
        return side, side
    height, width = integers(name, value, length=2)
    return height, width


def folder_to_write(name: str, value: Any) -> Path:
    """`value` as the Path of a folder that can be written to, or made; nothing is made yet."""
    accepted = "a folder or a new path that can be written to"
    if not isinstance(value, (str, os.PathLike)) or not str(value):
        raise reject(name, value, accepted)
    path = Path(value)
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise reject(name, str(value), accepted)
    return path
