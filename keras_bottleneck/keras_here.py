"""Where Keras keeps its files, whether it can be imported, and why not.

Keras is imported with its backend, so that a broken TensorFlow is a broken Keras. What works
without it, the runtimes and `doctor`, must still be reached then.
"""

import importlib
import importlib.util
import json
import os
from pathlib import Path


def home() -> Path:
    """Where Keras and this package keep files of the user: `$KERAS_HOME`, or `~/.keras`."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()


def backend() -> str:
    """The backend that Keras will take, read as it reads it, without importing it."""
    named = os.environ.get("KERAS_BACKEND")
    if named:
        return named
    try:
        stored = json.loads((home() / "keras.json").read_text("utf-8")).get("backend")
    except (OSError, ValueError, AttributeError):
        stored = None
    return stored if isinstance(stored, str) else "tensorflow"


def failure() -> str | None:
    """Why Keras cannot be imported; None if it can."""
    if importlib.util.find_spec("keras") is None:
        return "Keras is not installed: pip install keras"
    try:
        importlib.import_module("keras")
    except Exception as error:  # Keras, its backend, NumPy and protobuf raise their own here
        from keras_bottleneck.failures import reason

        return f"Keras cannot be imported ({reason(error)}); `keras-bottleneck doctor` says more"
    return None
