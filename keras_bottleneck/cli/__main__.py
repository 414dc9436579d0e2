"""`python -m keras_bottleneck.cli`, where the console script is not on the path."""

from keras_bottleneck.cli.app import entry_point

entry_point()
