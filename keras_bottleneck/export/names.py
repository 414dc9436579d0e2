"""Names that every format takes, for layers and files that the user calls otherwise."""

import re
from collections.abc import Iterable

import keras

from keras_bottleneck import keras_private
from keras_bottleneck.graph.rebuild import unused_name

# What TensorFlow takes as a scope, and so as the name of a layer in a traced graph.
SCOPE = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.-]*")
FILE_NAME = re.compile(r"\w[\w.-]{0,99}")
LONGEST = 100


def scope_name(name: str) -> str:
    """`name` itself where TensorFlow takes it as a scope, else the nearest name that it takes."""
    if SCOPE.fullmatch(name):
        return name
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
    return plain if SCOPE.fullmatch(plain) else f"layer{plain}"


def file_name(name: str) -> str:
    """`name` as a file name: "_" replaces what is no letter, digit, ".", "_" or "-"."""
    plain = re.sub(r"[^\w.-]", "_", name)[:LONGEST]
    return plain if FILE_NAME.fullmatch(plain) else f"model{plain}"[:LONGEST]


class ScopeNames:
    """Names of the layers of an exported copy, no two alike, and the user's own behind them."""

    def __init__(self, names: Iterable[str]) -> None:
        """Of `names`, those that can stay are kept for their owners."""
        self._kept = {name for name in names if SCOPE.fullmatch(name)}
        self._originals: dict[str, str] = {}

    @classmethod
    def of(cls, model: keras.Model) -> "ScopeNames":
        """For a copy of `model`."""
        return cls(call.operation.name for call in keras_private.calls(model))

    def new(self, original: str, wanted: str | None = None) -> str:
        """The name in the copy of a layer that the user calls `original`.

        Args:
            original: The user's name.
            wanted: What the copy would be called otherwise; by default `original`.
        """
        wanted = original if wanted is None else wanted
        name = scope_name(wanted)
        if name != original:
            name = unused_name([name], self._kept | self._originals.keys())
        self._originals[name] = original
        return name

    def original(self, name: str) -> str:
        """What the user calls the layer `name` of the copy."""
        return self._originals.get(name, name)
