"""Charts of plain values: every drawing of the package is made here, with matplotlib."""

from keras_bottleneck.charts.answers import confusion
from keras_bottleneck.charts.canvas import Chart
from keras_bottleneck.charts.formats import Disc, accuracy_over_latency
from keras_bottleneck.charts.images import grid
from keras_bottleneck.charts.layers import gradients, sensitivity
from keras_bottleneck.charts.training import curve, curves

__all__ = [
    "Chart",
    "Disc",
    "accuracy_over_latency",
    "confusion",
    "curve",
    "curves",
    "gradients",
    "grid",
    "sensitivity",
]
