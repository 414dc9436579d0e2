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
    writes, a progress bar or a warning, still reaches the terminal. Where Python's stderr is no
    file (a notebook, a test), nothing is held.
    """
    number = _number(sys.stderr)
    if number is None:
        yield
        return
    sys.stderr.flush()
    before = os.dup(STDERR)
    # Python's stderr goes on: beside the one that is held, or as what that was until now.
    with tempfile.TemporaryFile() as held, open(os.dup(number), "w", buffering=1) as python:
        os.dup2(held.fileno(), STDERR)
        try:
            with redirect_stderr(python):
                yield
        finally:
            os.dup2(before, STDERR)
            os.close(before)
            _let_go_of(python)


def _let_go_of(stream: object) -> None:
    """Loggers of libraries that were imported inside go on with the stderr that stays."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is stream:
            handler.setStream(sys.stderr)


def _number(stream: object) -> int | None:
    """The number of an open file; None of a stream that is none."""
    try:
        return stream.fileno() if isinstance(stream, io.TextIOBase) else None
    except (OSError, ValueError):
        return None
