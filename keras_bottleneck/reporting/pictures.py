"""Charts and photographs as parts of a page."""

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_bottleneck.charts import Chart

if TYPE_CHECKING:
    from markupsafe import Markup

# The side that small images are enlarged to, by whole factors, in pixels.
SHOWN_SIDE = 96


def element(chart: Chart, salt: str) -> "Markup":
    """A chart as an SVG element; `salt` is a different text for each chart of a page."""
    from markupsafe import Markup

    return Markup(chart.svg(salt))


def data_url(pixels: np.ndarray[Any, Any]) -> str:
    """A data URL of uint8 pixels (height, width, 1 or 3), small images enlarged."""
    from PIL import Image

    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    factor = max(1, SHOWN_SIDE // max(image.size))
    image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    image.thumbnail((2 * SHOWN_SIDE, 2 * SHOWN_SIDE))
    data = io.BytesIO()
    image.save(data, "PNG")
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
