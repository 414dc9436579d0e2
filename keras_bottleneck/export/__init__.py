"""Model -> files that have been run and compared."""

from keras_bottleneck import lazy

__getattr__, __dir__, __all__ = lazy.names(__name__, __file__)
