"""Trainings as folders: what was asked for, what came of it, and the trained network."""

from keras_bottleneck import lazy

__getattr__, __dir__, __all__ = lazy.names(__name__, __file__)
