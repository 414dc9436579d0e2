"""Loss and accuracy over the epochs of a run, as a picture."""

import io
from collections.abc import Sequence

from keras_bottleneck.runs.folder import Row

PANELS = (("loss", "loss"), ("accuracy", "accuracy"))
# A line alone does not show a single epoch.
MARKED = 25


def curves(rows: Sequence[Row], best_epoch: int) -> bytes:
    """A PNG of the training and validation curves, with a line at the best epoch.

    Args:
        rows: Those of `Run.rows`.
        best_epoch: Counted from 1.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    epochs = [row["epoch"] for row in rows]
    marker = "o" if len(rows) <= MARKED else ""
    for axes, (metric, title) in zip(figure.subplots(1, 2), PANELS, strict=True):
        for name, label in ((metric, "training"), (f"val_{metric}", "validation")):
            axes.plot(epochs, [row[name] for row in rows], marker=marker, ms=3, label=label)
        axes.axvline(best_epoch, color="gray", lw=1, ls=":", label="best epoch")
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    figure.axes[1].set_ylim(0, 1.02)
    figure.axes[0].legend()
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    return picture.getvalue()
