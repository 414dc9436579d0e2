"""Images side by side, each with what it is."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_bottleneck.charts.canvas import Chart, canvas
from keras_bottleneck.charts.fonts import lettering

COLUMNS = 8
INCHES, LINE_INCHES = 1.2, 0.14
LONGEST_NAME = 22


def grid(
    images: Sequence[Any], labels: Sequence[Sequence[tuple[str, str]]], title: str = ""
) -> Chart:
    """Images of one size in rows of eight, with their labels below them.

    Args:
        images: uint8 (height, width, 1 or 3).
        labels: Of each image, a line for each of its classes: the name, and what is written
            behind it.
        title: Above them all.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    height, width = images[0].shape[:2]
    columns = min(COLUMNS, len(images))
    rows = -(-len(images) // columns)
    lines = max(1, *map(len, labels))
    # In inches, an image is 1.2 wide; a gap of a twentieth is beside it, its labels are below.
    tall = INCHES * height / width
    right, down = INCHES * 1.05, tall + LINE_INCHES * (lines + 0.5)
    letters = lettering([name for label in labels for name, _ in label])
    whole = columns * right, rows * down
    with canvas(whole[0] + 0.2, whole[1] + (0.5 if title else 0.2), letters) as (chart, (axes,)):
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            left, top = index % columns * right, index // columns * down
            pixels = np.broadcast_to(image, (*image.shape[:2], 3))
            extent = (left, left + INCHES, top + tall, top)
            axes.imshow(pixels, extent=extent, interpolation="nearest")
            text = "\n".join(f"{letters(name, LONGEST_NAME)}{more}" for name, more in label)
            axes.text(left, top + tall + 0.03, text, fontsize=7, va="top", parse_math=False)
        axes.set_xlim(0, whole[0])
        axes.set_ylim(whole[1], 0)
        axes.set_axis_off()
        if title:
            axes.set_title(title, loc="left", parse_math=False)
    return chart
