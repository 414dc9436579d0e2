"""A benchmark as a picture: accuracy against latency, size as area."""

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_bottleneck import checks

if TYPE_CHECKING:
    from keras_bottleneck.benchmarking.report import BenchmarkReport, Cell

COLOURS = {
    "keras": "#b07aa1",
    "keras folded": "#9c755f",
    "saved_model": "#e8883a",
    "tflite": "#3b7dd8",
    "onnx": "#3a9d5d",
}
OTHER = "#777777"
# Square points of the largest file's disc, and the least that is still seen.
LARGEST, LEAST = 1600.0, 14.0
ROW_INCHES = 0.24


def figure(report: "BenchmarkReport") -> Any:
    """The cells that ran, as a matplotlib figure.

    What a point is stands at the right, at the end of a line: names beside crowded points would
    cover each other.

    Raises:
        ValueError: If no cell has both an accuracy or agreement and a latency.
    """
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    height = "top1" if report.labelled else "agreement"
    cells = [
        cell
        for cell in report.cells
        if getattr(cell, height) is not None and cell.p50_ms is not None and cell.size is not None
    ]
    if not cells:
        raise checks.reject("report", report.model, "of a classifier with cells that ran")
    cells.sort(key=lambda cell: (getattr(cell, height), -(cell.p50_ms or 0)))
    ys = np.array([100 * getattr(cell, height) for cell in cells])
    xs = np.array([cell.p50_ms for cell in cells])
    sizes = np.array([cell.size for cell in cells], np.float64)
    drawn = Figure(figsize=(10, max(4.5, 1.6 + ROW_INCHES * len(cells))), layout="constrained")
    axes = drawn.subplots()
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.scatter(
        xs,
        ys,
        s=np.maximum(LARGEST * sizes / sizes.max(), LEAST),
        c=[COLOURS.get(cell.format, OTHER) for cell in cells],
        alpha=0.55,
        linewidths=0,
        zorder=3,
    )
    axes.scatter(xs, ys, s=4, color=rcParams["text.color"], zorder=4)
    _fit(axes, xs, ys)
    threads = len({cell.threads for cell in cells}) > 1
    for position, cell, x, y in zip(_evenly(len(cells)), cells, xs, ys, strict=True):
        axes.annotate(
            _label(cell, y, threads),
            xy=(x, y),
            xytext=(1.03, position),
            textcoords="axes fraction",
            fontsize=8,
            va="center",
            arrowprops={
                "arrowstyle": "-",
                "color": COLOURS.get(cell.format, OTHER),
                "linewidth": 0.7,
                "relpos": (0, 0.5),
                "shrinkB": 0,
            },
        )
    named = "top-1 accuracy" if report.labelled else "agreement with Keras"
    axes.set_ylabel(f"{named}, %")
    axes.set_xlabel("median milliseconds for one image (area of a disc: size of the file)")
    axes.set_title(f"{report.model}: {named} on {report.images} images", loc="left")
    axes.grid(which="both", color="#888888", alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    return drawn


def _fit(axes: Any, xs: Any, ys: Any) -> None:
    """Room for the discs at the edges, and no less than a few percent from bottom to top."""
    axes.set_xlim(xs.min() / 1.6, xs.max() * 1.6)
    room = max(0.15 * (ys.max() - ys.min()), 1.0)
    axes.set_ylim(ys.min() - room, ys.max() + room)


def _evenly(count: int) -> Any:
    """Heights of the labels, from the bottom up."""
    return (np.arange(count) + 0.5) / count


def _label(cell: "Cell", percent: float, threads: bool) -> str:
    number = f" x{cell.threads}" if threads else ""
    size = (cell.size or 0) / 1e3
    written = f"{size:.0f} kB" if size < 1000 else f"{size / 1e3:.3g} MB"
    return (
        f"{cell.format} {cell.precision}{number}: {percent:.1f}%, {cell.p50_ms:.3g} ms, {written}"
    )
