"""Keeps what native converters print off the user's terminal."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def native_messages_held() -> Iterator[None]:
    """Hold back what C++ code writes to stderr inside; errors reach Python as exceptions.

    TensorFlow's converters write dozens of lines on success, past Python's logging.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
