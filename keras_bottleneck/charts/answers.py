"""What a classifier takes for what."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_bottleneck.charts.canvas import BLUE, Chart, canvas
from keras_bottleneck.charts.fonts import lettering

LONGEST_NAME = 18


def confusion(names: Sequence[str], counts: np.ndarray[Any, Any]) -> Chart:
    """The confusion matrix: the more of a class, the darker, with the numbers written in it.

    Args:
        names: Of the classes.
        counts: How many images of each class (rows) were taken for each class (columns).

    Raises:
        ImportError: If matplotlib is not installed.
    """
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    parts = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = len(names)
    letters = lettering(names)
    with canvas(2.2 + 0.34 * side, 1.9 + 0.34 * side, letters) as (chart, (axes,)):
        # What is behind shows through: what is rare is faint, on light pages and on dark ones.
        ends = [(*to_rgb(BLUE), alpha) for alpha in (0.12, 1.0)]
        blues = LinearSegmentedColormap.from_list("parts", ends)
        shown = np.ma.masked_equal(parts, 0)
        axes.pcolormesh(shown, cmap=blues, vmin=0, vmax=1, edgecolors="none")
        for row, column in np.argwhere(counts):
            text = f"{counts[row, column]}"
            axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=8)
        places = np.arange(side) + 0.5
        written = [letters(name, LONGEST_NAME) for name in names]
        upright = max(map(len, written)) > 3
        axes.set_xticks(places, written, rotation=90 if upright else 0, parse_math=False)
        axes.set_yticks(places, written, parse_math=False)
        axes.invert_yaxis()
        axes.set_aspect("equal")
        axes.set_xlabel("taken for")
        axes.set_ylabel("class")
    return chart
