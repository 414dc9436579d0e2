"""Figures of each layer of a network."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from keras_bottleneck.charts.canvas import BLUE, GRID, RED, Chart, canvas, logarithmic_ticks, plain
from keras_bottleneck.charts.fonts import lettering

BAR_INCHES, ROW_INCHES = 0.22, 0.14
LONGEST_NAME = 40
STEPS_SHOWN = 10


def sensitivity(layers: Sequence[tuple[str, float]], whole: float) -> Chart:
    """Layers as bars, the shortest at the top.

    Args:
        layers: Names, and the ratio of signal to noise of the output in dB where that layer alone
            is quantized; the smallest first.
        whole: The same where all are.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    letters = lettering([name for name, _ in layers])
    with canvas(6.4, 1.2 + BAR_INCHES * len(layers), letters) as (chart, (axes,)):
        places = np.arange(len(layers))
        axes.barh(places, [ratio for _, ratio in layers], color=BLUE)
        axes.invert_yaxis()
        written = [letters(name, LONGEST_NAME) for name, _ in layers]
        axes.set_yticks(places, written, parse_math=False, fontsize=8)
        axes.axvline(whole, color=RED, label=f"all layers quantized: {whole:.1f} dB")
        axes.set_xlabel("signal to noise of the output with one layer quantized, dB")
        axes.margins(y=0.01)
        axes.grid(axis="x", **GRID)
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
    return chart


def gradients(
    steps: Sequence[int],
    norms: Mapping[str, Sequence[float]],
    marked: Collection[str],
    title: str,
) -> Chart:
    """Norms of gradients as colours, layers from the input down, steps to the right.

    Args:
        steps: Of the training, when they were measured.
        norms: Of each layer, at each of `steps`; 0 is black, what is not finite red.
        marked: The layers whose names are red.
        title: What is wrong with them; left out where no font can write it.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    from matplotlib import colormaps

    logs, lowest, highest = _logarithms(norms)
    letters = lettering([*norms, title])
    with canvas(9, 2.2 + ROW_INCHES * len(norms), letters) as (chart, (axes,)):
        colours = colormaps["viridis"].with_extremes(under="black", bad="red")
        image = axes.imshow(
            logs, colours, aspect="auto", interpolation="nearest", vmin=lowest, vmax=highest
        )
        written = [letters(name) for name in norms]
        axes.set_yticks(range(len(norms)), written, fontsize=6, parse_math=False)
        for label, name in zip(axes.get_yticklabels(), norms, strict=True):
            if name in marked:
                label.set_color("red")
        chosen = range(0, len(steps), -(-len(steps) // STEPS_SHOWN))
        axes.set_xticks(chosen, [str(steps[index]) for index in chosen])
        axes.set_xlabel("training step")
        # One with names that no font can write: the red names say the same.
        if title not in letters.numbered:
            axes.set_title(title, fontsize=9, parse_math=False)
        bar = chart.figure.colorbar(image)
        bar.set_label("norm of the gradient\n(black: 0, red: not finite)", fontsize=9)
        ticks = logarithmic_ticks(10**lowest, 10**highest)
        bar.set_ticks(np.log10(ticks), labels=[plain(tick) for tick in ticks])
    return chart


def _logarithms(norms: Mapping[str, Sequence[float]]) -> tuple[Any, float, float]:
    """log10 of the norms, (layers, steps), and their range; 0 is below it, NaN not finite."""
    values = np.array(list(norms.values()), np.float64)
    alive = np.isfinite(values) & (values > 0)
    logs = np.log10(values, where=alive, out=np.full_like(values, np.nan))
    lowest = float(np.min(logs, where=alive, initial=0.0))
    highest = float(np.max(logs, where=alive, initial=lowest))
    logs[values == 0.0] = lowest - 1.0
    return logs, lowest, max(highest, lowest + 1e-3)
