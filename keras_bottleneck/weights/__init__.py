"""Trained weights in, from torchvision, timm, transformers and Keras, and out again."""

from keras_bottleneck.weights.checkpoints import CHECKPOINTS, Checkpoint, find, names
from keras_bottleneck.weights.download import DownloadError
from keras_bottleneck.weights.loading import load
from keras_bottleneck.weights.saving import save

__all__ = ["CHECKPOINTS", "Checkpoint", "DownloadError", "find", "load", "names", "save"]
