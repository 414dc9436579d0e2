"""The paper that charts are drawn on: one style, plain numbers, written as a picture or as SVG."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_bottleneck.charts.fonts import Lettering

# The colour of all text and axes. A page shows it as its own text's, light or dark.
INK = "#0a0b0c"
GRID = {"color": "#888888", "alpha": 0.25, "linewidth": 0.6}
BLUE, ORANGE, RED, GREY = "#3b7dd8", "#e8883a", "#c0504d", "#777777"
DPI = 120
# The multiples of the powers of ten that are written at a logarithmic axis, from few to many.
MULTIPLES = ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8))
LEAST_TICKS, MOST_TICKS = 3, 9


@dataclass(frozen=True)
class Chart:
    """A finished drawing.

    Attributes:
        figure: matplotlib's figure.
        style: The settings of matplotlib that it was drawn with.
        numbered: The names that it shows as numbers, because no font here has their letters, and
            these numbers: to be shown beside it.
    """

    figure: Any
    style: dict[Any, Any] = field(repr=False)
    numbered: dict[str, str]

    def save(self, path: str | Path, dpi: int = DPI) -> Path:
        """Write the drawing into the picture file `path`, in the format that its suffix says."""
        with self._styled():
            self.figure.savefig(path, dpi=dpi)
        return Path(path)

    def png(self, dpi: int = DPI) -> bytes:
        """The drawing as the content of a PNG file."""
        data = io.BytesIO()
        with self._styled():
            self.figure.savefig(data, format="png", dpi=dpi)
        return data.getvalue()

    def svg(self, salt: str) -> str:
        """The drawing as an element of a page, in the colour of the page's text.

        Args:
            salt: A different one for each drawing of a page, in which no two ids may be equal.
        """
        text = io.StringIO()
        about = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        with self._styled({"svg.hashsalt": salt}):
            self.figure.savefig(text, format="svg", transparent=True, metadata=about)
        svg = text.getvalue()
        svg = re.sub(r'<g id="[^"]*">', "<g>", svg[svg.index("<svg") :])
        # Names of classes and layers in it have been escaped by matplotlib.
        return svg.replace(INK, "currentColor")

    @contextmanager
    def _styled(self, more: dict[Any, Any] | None = None) -> Iterator[None]:
        from matplotlib import rc_context

        with rc_context({**self.style, **(more or {})}):
            yield


@contextmanager
def canvas(
    width: float, height: float, lettering: Lettering | None = None, panels: int = 1
) -> Iterator[tuple[Chart, Sequence[Any]]]:
    """An empty `Chart` and its axes, to be drawn on inside the `with` block.

    Args:
        width: In inches.
        height: In inches.
        lettering: Of the names in it.
        panels: How many axes there are, side by side.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    from matplotlib import rc_context, rcParams
    from matplotlib.figure import Figure

    lettering = lettering or Lettering()
    inked = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    style: dict[Any, Any] = dict.fromkeys(inked, INK)
    style |= {"svg.fonttype": "none", "font.size": 10}
    style["font.family"] = [*rcParams["font.family"], *lettering.families]
    with rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(1, panels, squeeze=False)[0]
        for panel in axes:
            panel.spines[["top", "right"]].set_visible(False)
            panel.set_axisbelow(True)
        yield Chart(figure, style, lettering.numbered), axes


def plain(value: float) -> str:
    """A number without powers of ten: "0.002", "10000"."""
    return np.format_float_positional(value, precision=6, fractional=False, trim="-")


def logarithmic_ticks(low: float, high: float) -> list[float]:
    """Round numbers from `low` to `high`, three to nine where there are as many."""
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for multiples in MULTIPLES:
        ticks = sorted(multiple * power for multiple in multiples for power in powers)
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) >= LEAST_TICKS:
            return inside[:: -(-len(inside) // MOST_TICKS)]
    from matplotlib.ticker import MaxNLocator

    values = MaxNLocator(nbins=5).tick_values(low, high)
    return [float(value) for value in values if low <= value <= high]


def logarithmic(axes: Any, low: float, high: float) -> None:
    """Make the x axis logarithmic from `low` to `high`, with plain numbers at its ticks."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.set_xlim(low, high)
    ticks = logarithmic_ticks(low, high)
    axes.set_xticks(ticks, [plain(tick) for tick in ticks])
    axes.xaxis.set_minor_locator(LogLocator(subs=range(2, 10)))
    axes.xaxis.set_minor_formatter(NullFormatter())
