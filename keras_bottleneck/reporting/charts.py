"""Drawings for the page: SVG whose ink is the colour of the page's text, and small pictures."""

import base64
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_bottleneck.benchmarking import BenchmarkReport
from keras_bottleneck.benchmarking import picture as benchmark_picture
from keras_bottleneck.quantization import Sensitivity
from keras_bottleneck.reporting.evaluation import Array, Evaluation

if TYPE_CHECKING:
    from markupsafe import Markup

# Stands for the text's colour, which light and dark pages have in different ones.
INK = "#0a0b0c"
GRID = {"color": "#888888", "alpha": 0.25, "linewidth": 0.6}
TRAINING, VALIDATION, BAR = "#3b7dd8", "#e8883a", "#3b7dd8"
BLUE = (0.30, 0.56, 0.90)
BARS = 20
# The side that small images are enlarged to, by whole factors, in pixels.
SHOWN_SIDE = 96


@contextmanager
def _style() -> Iterator[None]:
    from matplotlib import rc_context

    names = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    style: dict[Any, Any] = dict.fromkeys(names, INK)
    style |= {"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10}
    with rc_context(style):
        yield


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Any, salt: str) -> "Markup":
    """The figure as an element of a page, as wide as there is room.

    Args:
        figure: A matplotlib figure.
        salt: Another for each drawing of a page: ids must not be the same in two of them.
    """
    from markupsafe import Markup
    from matplotlib import rc_context

    text = io.StringIO()
    about = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with rc_context({"svg.hashsalt": salt}):
        figure.savefig(text, format="svg", transparent=True, metadata=about)
    svg = text.getvalue()
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg[svg.index("<svg") :])
    # Names of classes and layers in it are escaped by matplotlib.
    return Markup(svg.replace(INK, "currentColor"))


def curves(columns: dict[str, list[float]]) -> "list[Markup]":
    """One drawing for each metric, that of validation beside that of training."""
    names = dict.fromkeys(name.removeprefix("val_") for name in columns)
    return [_curve(name, columns) for name in names]


def _curve(name: str, columns: dict[str, list[float]]) -> "Markup":
    with _style():
        figure, axes = _figure(4.4, 2.7)
        both = ((name, "training", TRAINING), (f"val_{name}", "validation", VALIDATION))
        for column, label, colour in both:
            values = columns.get(column, [])
            if values:
                epochs = range(1, len(values) + 1)
                axes.plot(epochs, values, color=colour, label=label, marker=".", markersize=4)
        axes.set_title(name.replace("_", " "), loc="left", parse_math=False)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(**GRID)
        axes.legend(frameon=False)
        return _svg(figure, f"curve {name}")


def confusion(evaluation: Evaluation) -> "Markup":
    """The confusion matrix: each row in parts of its class, with the counts written in it."""
    from matplotlib.colors import LinearSegmentedColormap

    counts = evaluation.confusion
    parts = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = len(evaluation.names)
    with _style():
        figure, axes = _figure(2.2 + 0.34 * side, 1.9 + 0.34 * side)
        # The page shows through: what is rare is faint, on light pages and on dark ones.
        blues = LinearSegmentedColormap.from_list("parts", [(*BLUE, 0.12), (*BLUE, 1.0)])
        shown = np.ma.masked_equal(parts, 0)
        axes.pcolormesh(shown, cmap=blues, vmin=0, vmax=1, edgecolors="none")
        for row, column in np.argwhere(counts):
            text = f"{counts[row, column]}"
            axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=8)
        places = np.arange(side) + 0.5
        names = [_short(name) for name in evaluation.names]
        upright = max(map(len, names)) > 3
        axes.set_xticks(places, names, rotation=90 if upright else 0, parse_math=False)
        axes.set_yticks(places, names, parse_math=False)
        axes.invert_yaxis()
        axes.set_aspect("equal")
        axes.set_xlabel("taken for")
        axes.set_ylabel("class")
        return _svg(figure, "confusion")


def _short(name: str, longest: int = 18) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def sensitivity(found: Sensitivity) -> "Markup":
    """The most sensitive layers as bars, the shortest at the top."""
    layers = found.layers[:BARS][::-1]
    with _style():
        figure, axes = _figure(5.4, 1.0 + 0.24 * len(layers))
        axes.barh(
            [_short(name, 32) for name, _ in layers], [ratio for _, ratio in layers], color=BAR
        )
        axes.axvline(found.whole, color="#c0504d", label=f"all quantized: {found.whole:.1f} dB")
        axes.set_xlabel("signal to noise, dB")
        axes.grid(axis="x", **GRID)
        axes.set_axisbelow(True)
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
        return _svg(figure, "sensitivity")


def benchmark(report: BenchmarkReport) -> "Markup | None":
    """Accuracy against latency; None where no cell has both."""
    with _style():
        try:
            figure = benchmark_picture.figure(report)
        except ValueError:
            return None
        return _svg(figure, "benchmark")


def picture(pixels: Array) -> str:
    """A data URL of uint8 pixels (height, width, 1 or 3), small ones enlarged."""
    from PIL import Image

    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    factor = max(1, SHOWN_SIDE // max(image.size))
    image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    image.thumbnail((2 * SHOWN_SIDE, 2 * SHOWN_SIDE))
    data = io.BytesIO()
    image.save(data, "PNG")
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
