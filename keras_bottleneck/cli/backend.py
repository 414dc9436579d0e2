"""Verbs that compute on TensorFlow, whatever backend Keras is set to: in a process of their own."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence

from keras_bottleneck import keras_here
from keras_bottleneck.cli.exit_codes import WRONG_CALL

BACKEND = "tensorflow"
# They write files by TensorFlow's converters, and what they read is the same on every backend.
ON_TENSORFLOW = ("demo", "quantize", "export", "benchmark")


def elsewhere(words: Sequence[str]) -> int | None:
    """The exit code of the command line `words` where Keras is on another backend than it needs.

    None where this process can do it. Keras takes its backend once, when it is imported: what has
    to be on TensorFlow is started again with that backend, and says so.

    Args:
        words: The verb and what follows it.
    """
    if not words or words[0] not in ON_TENSORFLOW or "--help" in words:
        return None
    backend = keras_here.backend()
    if backend == BACKEND or importlib.util.find_spec("keras") is None:
        return None
    from keras_bottleneck.cli.outcome import say

    if importlib.util.find_spec(BACKEND) is None:
        missing = f"`{words[0]}` needs TensorFlow, which is not installed: pip install tensorflow"
        say("error", missing, "red")
        return WRONG_CALL
    say("note", f"{words[0]} takes the TensorFlow backend, not {backend}", "yellow")
    command = [sys.executable, *sys.orig_argv[1:]]
    environment = {**os.environ, "KERAS_BACKEND": BACKEND}
    if sys.platform == "win32":  # there a process cannot become another
        return subprocess.call(command, env=environment)
    os.execve(sys.executable, command, environment)
