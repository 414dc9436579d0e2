"""Trained weights in, from torchvision, timm, transformers and Keras, and out again."""

from keras_bottleneck.weights.loading import load
from keras_bottleneck.weights.saving import save

__all__ = ["load", "save"]
