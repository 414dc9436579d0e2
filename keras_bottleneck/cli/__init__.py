"""The `keras-bottleneck` command: each verb is thin around one library call."""

from keras_bottleneck.cli.app import main

__all__ = ["main"]
