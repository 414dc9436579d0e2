import io
import sys
import time

import pytest

from keras_bottleneck import console


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def open_terminal(monkeypatch):
    """To be called inside the test: pytest sets stderr anew between fixtures and test."""
    return lambda: connect(Terminal(), monkeypatch)


def connect(stream, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    return stream


def test_short_work_shows_nothing(open_terminal):
    terminal = open_terminal()
    assert list(console.track(range(5), 5, "Checking")) == [0, 1, 2, 3, 4]
    assert "Checking" not in terminal.getvalue()


def until_shown(terminal, items):
    """`items`, of which the first takes until the bar is there, or ten seconds."""
    deadline = time.monotonic() + 10
    while "Checking" not in terminal.getvalue() and time.monotonic() < deadline:
        time.sleep(0.01)
    yield from items


def test_long_work_shows_a_bar_even_before_the_first_item(open_terminal, monkeypatch):
    monkeypatch.setattr(console, "PATIENCE_S", 0.01)
    terminal = open_terminal()
    work = until_shown(terminal, "abc")
    assert list(console.track(work, 3, "Checking")) == ["a", "b", "c"]
    assert "Checking" in terminal.getvalue()


@pytest.mark.parametrize("total", [7, None])
def test_bytes_are_counted(open_terminal, monkeypatch, total):
    monkeypatch.setattr(console, "PATIENCE_S", 0.01)
    terminal = open_terminal()
    work = until_shown(terminal, [b"abc", b"de"])
    assert list(console.track_bytes(work, total, "Checking", done=2)) == [b"abc", b"de"]
    assert f"2/{total or '?'} bytes" in terminal.getvalue()


def test_logs_stay_clean(monkeypatch):
    stream = connect(io.StringIO(), monkeypatch)
    monkeypatch.setattr(console, "PATIENCE_S", 0.0)
    assert list(console.track(range(3), 3, "Checking")) == [0, 1, 2]
    assert stream.getvalue() == ""


def test_bar_ends_with_an_error(open_terminal, monkeypatch):
    monkeypatch.setattr(console, "PATIENCE_S", 0.0)

    def items():
        yield 1
        raise OSError("gone")

    open_terminal()
    with pytest.raises(OSError, match="gone"):
        list(console.track(items(), 2, "Checking"))
