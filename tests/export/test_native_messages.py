"""Converters are silent, Python is not: seen from outside the process."""

import subprocess
import sys

import pytest

CODE = """
import os, sys, time
from keras_bottleneck.export.native_messages import native_messages_held
from keras_bottleneck import console
console.PATIENCE_S = 0.05
def work():
    for _ in console.track(range(2), 2, "working"):
        with native_messages_held():
            os.write(2, b"native noise")
            time.sleep(0.5)
            print("a warning", file=sys.stderr)
            yield
os.write(2, b"before ")
list(work())
os.write(2, b"after")
"""


@pytest.mark.slow
@pytest.mark.full
def test_native_messages_are_held_and_python_is_heard():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert "native noise" not in done.stderr
    assert done.stderr.count("a warning") == 2
    assert "before" in done.stderr
    assert done.stderr.endswith("after")


@pytest.mark.slow
@pytest.mark.full
def test_loggers_that_are_made_inside_go_on_outside():
    """As that of tf2onnx is, which configures logging when it is imported."""
    code = (
        "import logging\n"
        "from keras_bottleneck.export.native_messages import native_messages_held\n"
        "with native_messages_held():\n"
        "    logging.basicConfig()\n"
        "logging.warning('heard')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "WARNING:root:heard" in done.stderr
    assert "Logging error" not in done.stderr


@pytest.mark.slow
@pytest.mark.full
def test_the_bar_is_drawn_while_native_messages_are_held():
    code = f"import pty; pty.spawn([{sys.executable!r}, '-c', {CODE!r}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("working") >= 3
    assert "native noise" not in done.stdout
