"""What the formats of a network are worth: accuracy over latency."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_bottleneck.charts.canvas import GRID, INK, Chart, canvas, logarithmic
from keras_bottleneck.charts.fonts import lettering

COLOURS = {
    "keras": "#b07aa1",
    "keras folded": "#9c755f",
    "saved_model": "#e8883a",
    "tflite": "#3b7dd8",
    "onnx": "#3a9d5d",
}
OTHER = "#777777"
# Square points of the largest file's disc, and the least that is still visible.
LARGEST, LEAST = 1600.0, 14.0
ROW_INCHES = 0.24


@dataclass(frozen=True)
class Disc:
    """A file, as one disc of the chart.

    Attributes:
        label: Its name; the figures are written behind it.
        kind: What decides its colour, such as "tflite".
        milliseconds: For one image.
        part: Of the images that it gets right, from 0 to 1.
        size: In bytes.
    """

    label: str
    kind: str
    milliseconds: float
    part: float
    size: float

    @property
    def colour(self) -> str:
        """That of its kind."""
        return COLOURS.get(self.kind, OTHER)

    @property
    def text(self) -> str:
        """Its name and figures."""
        kilobytes = self.size / 1e3
        size = f"{kilobytes:.0f} kB" if kilobytes < 1000 else f"{kilobytes / 1e3:.3g} MB"
        return f"{self.label}: {self.part:.1%}, {self.milliseconds:.3g} ms, {size}"


def accuracy_over_latency(discs: Sequence[Disc], what: str, model: str, images: int) -> Chart:
    """Files as discs: how much they get right over how long they take, their size as area.

    The names stand at the right, each at the end of a line: names beside crowded discs would cover
    each other.

    Args:
        discs: At least one.
        what: What their `part` is, such as "top-1 accuracy".
        model: Name of the model.
        images: How many images it was measured on.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    discs = sorted(discs, key=lambda disc: (disc.part, -disc.milliseconds))
    xs = np.array([disc.milliseconds for disc in discs])
    ys = np.array([100 * disc.part for disc in discs])
    sizes = np.array([disc.size for disc in discs], np.float64)
    letters = lettering([model])
    height = max(4.5, 1.6 + ROW_INCHES * len(discs))
    with canvas(10, height, letters) as (chart, (axes,)):
        # Room for the discs at the edges, and no less than a few percent from bottom to top.
        logarithmic(axes, xs.min() / 1.6, xs.max() * 1.6)
        room = max(0.15 * (ys.max() - ys.min()), 1.0)
        axes.set_ylim(ys.min() - room, ys.max() + room)
        axes.scatter(
            xs,
            ys,
            s=np.maximum(LARGEST * sizes / sizes.max(), LEAST),
            c=[disc.colour for disc in discs],
            alpha=0.55,
            linewidths=0,
            zorder=3,
        )
        axes.scatter(xs, ys, s=4, color=INK, zorder=4)
        heights = (np.arange(len(discs)) + 0.5) / len(discs)
        for disc, x, y, place in zip(discs, xs, ys, heights, strict=True):
            _name(axes, disc, (x, y), place)
        axes.set_ylabel(f"{what}, %")
        axes.set_xlabel("median milliseconds for one image (area of a disc: size of the file)")
        title = f"{letters(model)}: {what} on {images} images"
        axes.set_title(title, loc="left", parse_math=False)
        axes.grid(which="both", **GRID)
    return chart


def _name(axes: Any, disc: Disc, point: tuple[float, float], place: float) -> None:
    """Write what `disc` is at the right of the axes, `place` being 0 at their bottom, 1 at the top.

    A line goes from there to its `point`.
    """
    axes.annotate(
        disc.text,
        xy=point,
        xytext=(1.03, place),
        textcoords="axes fraction",
        fontsize=8,
        va="center",
        arrowprops={
            "arrowstyle": "-",
            "color": disc.colour,
            "linewidth": 0.7,
            "relpos": (0, 0.5),
            "shrinkB": 0,
        },
    )
