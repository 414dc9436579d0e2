"""What a refusal calls the arguments that would help: those of `load` or those of a builder."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Where a bottleneck strides, by the name that the literature has for it.
VARIANTS = {"v1": "1x1", "v1.5": "3x3"}

_STRUCTURE = {
    "stem": "build the model with another `stem`",
    "shortcut": "build the model with another `shortcut`",
}


@dataclass(frozen=True)
class Wording:
    """The words of one function that loads weights.

    Attributes:
        of_builder: Whether it calls the variants by where they stride, as builders do.
        advice: What helps where all that does not fit belongs to one part of the network; under
            "prefix" what helps where there are several networks.
    """

    of_builder: bool
    advice: Mapping[str, str]

    def argument(self, name: str, value: Any) -> tuple[str, Any]:
        """The argument that says the setting `name`, and what it calls `value`."""
        if name == "variant" and self.of_builder:
            return "stride_on", VARIANTS.get(value)
        return name, value


LOAD = Wording(
    of_builder=False,
    advice={
        "head": "`skip_head=True` leaves the classifier as it is",
        "prefix": "`prefix` chooses one",
        "stem channels": "`adapt_stem=True` fits the first kernel to other input channels",
        **_STRUCTURE,
    },
)
BUILDER = Wording(
    of_builder=True,
    advice={
        "head": "build without `weights` and call `weights.load(model, source, skip_head=True)`",
        "prefix": "build without `weights` and call `weights.load(model, source, prefix=...)`",
        "stem channels": "build without `weights` and call `weights.load(model, source, "
        "adapt_stem=True)`",
        **_STRUCTURE,
    },
)
