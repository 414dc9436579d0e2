"""The `keras-bottleneck` command: each verb is thin around one library call.

The verbs import the library when they run: `--help` and `doctor` must work where Keras does not.
"""

from keras_bottleneck.cli.app import main

__all__ = ["main"]
