"""Recipes: how a classifier is trained, for every Keras backend."""

from keras_bottleneck.training.losses import SmoothedCrossentropy
from keras_bottleneck.training.metrics import Accuracy
from keras_bottleneck.training.precision import set_mixed_precision
from keras_bottleneck.training.recipe import Recipe

__all__ = ["Accuracy", "Recipe", "SmoothedCrossentropy", "set_mixed_precision"]
