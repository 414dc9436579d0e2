"""What a training did, epoch after epoch."""

from collections.abc import Mapping, Sequence
from typing import Any

from keras_bottleneck.charts.canvas import BLUE, GREY, GRID, ORANGE, Chart, canvas

# With more epochs, dots on the line would touch each other. A line alone does not show one epoch.
DOTTED = 25

Columns = Mapping[str, Sequence[float]]


def curves(columns: Columns, best_epoch: int, metric: str = "accuracy") -> Chart:
    """Loss and another metric side by side, with a line at the best epoch.

    Args:
        columns: The values of each metric, one for each epoch; those of validation are called
            "val_" and the name of the metric.
        best_epoch: Counted from 1.
        metric: Beside the loss; an accuracy is drawn from 0 to 1.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    with canvas(9, 3.6, panels=2) as (chart, panels):
        for axes, name in zip(panels, ("loss", metric), strict=True):
            _draw(axes, name, columns)
            axes.axvline(best_epoch, color=GREY, lw=1, ls=":", label="best epoch")
        if metric == "accuracy":
            panels[1].set_ylim(0, 1.02)
        panels[0].legend(frameon=False)
    return chart


def curve(metric: str, columns: Columns) -> Chart:
    """One metric over the epochs, that of validation beside that of training.

    Args:
        metric: Its name, without "val_".
        columns: As for `curves`.
    """
    with canvas(4.4, 2.7) as (chart, (axes,)):
        _draw(axes, metric, columns)
        axes.legend(frameon=False)
    return chart


def _draw(axes: Any, metric: str, columns: Columns) -> None:
    for name, label, colour in (
        (metric, "training", BLUE),
        (f"val_{metric}", "validation", ORANGE),
    ):
        values = columns.get(name, ())
        if values:
            marker = "." if len(values) <= DOTTED else ""
            epochs = range(1, len(values) + 1)
            axes.plot(epochs, values, color=colour, label=label, marker=marker, markersize=5)
    axes.set_title(metric.replace("_", " "), loc="left", parse_math=False)
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(**GRID)
