"""Model -> Model passes: each returns an independent functional model, its input untouched."""

from keras_bottleneck.graph.cast import cast
from keras_bottleneck.graph.flatten import flatten
from keras_bottleneck.graph.fold import fold

__all__ = ["cast", "flatten", "fold"]
