"""Keeps what native converters print off the user's terminal."""

import io
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

STDERR = 2


@contextmanager
def native_messages_held() -> Iterator[None]:
    """Hold back what C++ code writes to stderr inside; errors reach Python as exceptions.

    TensorFlow's converters write dozens of lines on success, past Python's logging. What Python
    writes, a progress bar or a warning, still reaches the terminal. Where stderr is no file of
    the process (a notebook, a test), nothing is held.
    """
    if not _is_stderr(sys.stderr):
        yield
        return
    sys.stderr.flush()
    terminal = os.dup(STDERR)
    with tempfile.TemporaryFile() as held, open(terminal, "w", buffering=1) as python:
        os.dup2(held.fileno(), STDERR)
        try:
            with redirect_stderr(python):
                yield
        finally:
            os.dup2(terminal, STDERR)
            _let_go_of(python)


def _let_go_of(stream: object) -> None:
    """Loggers of libraries that were imported inside go on with the stderr that stays."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is stream:
            handler.setStream(sys.stderr)


def _is_stderr(stream: object) -> bool:
    try:
        return isinstance(stream, io.TextIOBase) and stream.fileno() == STDERR
    except (OSError, ValueError):
        return False
