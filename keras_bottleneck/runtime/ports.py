"""The inputs and outputs of a model: what they are called, what they hold, and what it means."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from keras_bottleneck.checks import boolean, one_of, reject
from keras_bottleneck.tasks import CLASSIFICATION, REGRESSION, TASKS

# What values of an output are: of classes or labels, numbers in a unit, sides of boxes in pixels of
# the input, or features that state nothing.
MEANINGS = ("probabilities", "logits", "numbers", "boxes", "features")
PROBABILITIES, LOGITS, NUMBERS, BOXES, FEATURES = MEANINGS
OF_CLASSES = (PROBABILITIES, LOGITS)

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Port:
    """An input or output of an artifact, as its runtime lists it.

    Attributes:
        name: Its name in the artifact.
        shape: (N, ...), with None for free dimensions.
        dtype: "float32", "int8" and so on.
        scale: Of integers: the value of a step; None where values are as they are.
        zero_point: Of integers: the code of zero.
    """

    name: str
    shape: Shape
    dtype: str = "float32"
    scale: float | None = None
    zero_point: int = 0

    def quantized(self, values: np.ndarray) -> np.ndarray:
        """`values` as the artifact takes them."""
        dtype = np.dtype(self.dtype)
        if not np.issubdtype(dtype, np.integer):
            return values.astype(dtype)
        steps = np.rint(values / np.float32(self.scale or 1)) + self.zero_point
        return np.clip(steps, np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype)

    def dequantized(self, values: np.ndarray) -> np.ndarray:
        """What the artifact returned, as float32."""
        if not np.issubdtype(values.dtype, np.integer):
            return values.astype(np.float32)
        zero = np.float32(self.zero_point)
        return (values.astype(np.float32) - zero) * np.float32(self.scale or 1)

    def _check(self) -> None:
        """Raise ValueError for an argument of another type, as files of others may have them."""
        if not isinstance(self.name, str) or not self.name:
            raise reject("name", self.name, "a non-empty string")
        listed = isinstance(self.shape, (tuple, list))
        if not listed or not all(side is None or type(side) is int for side in self.shape):
            accepted = "a sequence of whole numbers, with None for free ones"
            raise reject("shape", self.shape, accepted)
        object.__setattr__(self, "shape", tuple(self.shape))
        if not isinstance(self.dtype, str):
            raise reject("dtype", self.dtype, "a string")
        if self.scale is not None and type(self.scale) not in (int, float):
            raise reject("scale", self.scale, "a number or None")
        if type(self.zero_point) is not int:
            raise reject("zero_point", self.zero_point, "a whole number")


@dataclass(frozen=True)
class Input(Port):
    """An input, and what is stated of it.

    It has name, shape, dtype, scale and zero_point, as a `Port`, and these:

    Attributes:
        image: Whether images become it, by the artifact's preprocessing where there is one.

    Raises:
        ValueError: If an argument is of another type.
    """

    image: bool = False

    def __post_init__(self) -> None:
        self._check()
        boolean("image", self.image)


@dataclass(frozen=True)
class Output(Port):
    """An output, and what is stated of it.

    It has name, shape, dtype, scale and zero_point, as a `Port`, and these:

    Attributes:
        meaning: "probabilities", "logits", "numbers", "boxes" (distances in pixels of the model's
            input) or "features".
        task: "classification", "multi-label" or "regression": whose probabilities, logits or
            numbers they are.
        labels: Names of the classes, labels or numbers, in order; None where they have none.
        unit: Of numbers, such as "years"; None where nobody has said.

    Raises:
        ValueError: If an argument is of another type.
    """

    meaning: str = PROBABILITIES
    task: str = CLASSIFICATION
    labels: tuple[str, ...] | None = None
    unit: str | None = None

    def __post_init__(self) -> None:
        self._check()
        one_of("meaning", self.meaning, MEANINGS)
        one_of("task", self.task, tuple(TASKS))
        object.__setattr__(self, "labels", checked_labels(self.labels))
        if self.unit is not None and not isinstance(self.unit, str):
            raise reject("unit", self.unit, "a string or None")


def checked_labels(labels: Any) -> tuple[str, ...] | None:
    """`labels` as a tuple.

    Raises:
        ValueError: If they are not a sequence of one-line strings, or None.
    """
    if labels is None:
        return None
    wanted = "a sequence of non-empty one-line strings, or None"
    if not isinstance(labels, Iterable) or isinstance(labels, (str, bytes, dict, set, frozenset)):
        raise reject("labels", labels, wanted)
    items = tuple(labels)
    if not items:
        raise reject("labels", items, wanted)
    for label in items:
        if not isinstance(label, str) or label.splitlines() != [label]:
            raise reject("labels", label, wanted)
    return items


def described(kind: type, name: str, ports: Any) -> tuple[Any, ...]:
    """`ports`, objects of `kind` or dicts of its fields as JSON has them.

    Args:
        kind: `Input` or `Output`.
        name: The argument that they were given as, for errors.
        ports: A sequence.

    Raises:
        ValueError: If they are nothing of the kind, or two have one name.
    """
    known = {field.name for field in fields(kind)}
    accepted = f"a sequence of {name} with the fields {', '.join(sorted(known))}"
    if not isinstance(ports, (tuple, list)):
        raise reject(name, ports, accepted)
    found: list[Any] = []
    for port in ports:
        if isinstance(port, dict):
            if set(port) != known:
                raise reject(name, sorted(map(str, port)), accepted)
            port = kind(**port)
        if not isinstance(port, kind):
            raise reject(name, port, accepted)
        found.append(port)
    if len({port.name for port in found}) < len(found):
        raise reject(name, [port.name for port in found], f"{name} of different names")
    return tuple(found)


def meaning_of(output_name: str, task: str) -> str:
    """What the values of an output called "probabilities", "logits" or "features" are.

    Example:
        >>> meaning_of("logits", "regression")
        'numbers'
    """
    return NUMBERS if task == REGRESSION else output_name


class Feed(Mapping[str, np.ndarray]):
    """Values of N samples for each input, or from each output, by name.

    Args:
        arrays: Arrays (N, ...) by the names.

    Example:
        >>> feed = Feed({"image": np.zeros((3, 8, 8, 3)), "vector": np.zeros((3, 4))})
        >>> feed.samples, feed.part(slice(2))["vector"].shape
        (3, (2, 4))
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._arrays = dict(arrays)

    def __getitem__(self, name: str) -> np.ndarray:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    @property
    def samples(self) -> int:
        """N."""
        return len(next(iter(self._arrays.values())))

    @property
    def single(self) -> Any:
        """The array of a model with one input or output; the dict of them where there are more."""
        if len(self._arrays) > 1:
            return dict(self._arrays)
        return next(iter(self._arrays.values()))

    def part(self, index: Any) -> "Feed":
        """The samples that `index`, a slice or an array, picks."""
        return Feed({name: array[index] for name, array in self._arrays.items()})

    def parts(self, size: int) -> Iterator["Feed"]:
        """All samples, in parts of `size`; the last may be smaller."""
        yield from (self.part(slice(at, at + size)) for at in range(0, self.samples, size))


def joined(feeds: Iterable[Feed]) -> Feed:
    """The samples of several feeds, one after the other."""
    parts = list(feeds)
    return Feed({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
