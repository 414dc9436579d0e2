"""What native libraries write to stderr about themselves is left out of what the command prints.

TensorFlow writes some of it before its own log level counts, and calls the absence of a GPU an
error; LiteRT and ONNX Runtime have lines of that kind, too. So their stderr goes through a process
that lets all lines pass but those. It is no thread: a library that crashes still has its last
words, and one that holds Python's lock cannot wait for a reader that needs it.
"""

import logging
import os
import re
import signal
import sys

STDERR = 2
# To be asked for everything, TensorFlow has this variable: "0" turns the filter off.
LEVEL, EVERYTHING, ERRORS = "TF_CPP_MIN_LOG_LEVEL", "0", "2"

# How absl and TensorFlow begin a line: with its level, the time, the thread, the place in the code.
ABSL = rb"%s\d{4} [\d:.]+ +\d+ \S+:\d+\] "
TENSORFLOW = rb"\d{4}-\d\d-\d\d [\d:.]+: %s \S+:\d+\] "
# Called errors by those who write them: there is no GPU, a newer graph meets an older reader, or
# the processor lacks what oneDNN needs for a type.
HARMLESS = (
    rb".*(?:failed call to cuInit|Unable to register cu\w+ factory|NodeDef mentions attribute"
    rb"|oneDNN supports DT_\w+ only on platforms)"
)
FOREIGN = re.compile(
    b"|".join(
        (
            rb"WARNING: All log messages before absl::InitializeLog",
            rb"To enable the following instructions: ",
            ABSL % b"[IW]",
            TENSORFLOW % b"[IW]",
            ABSL % b"E" + HARMLESS,
            TENSORFLOW % b"E" + HARMLESS,
            # LiteRT, then ONNX Runtime, which colours its lines.
            rb"INFO: (?:Created TensorFlow Lite|Initialized TensorFlow Lite|Created LiteRT)",
            rb"(?:\x1b\[[\d;]*m)*[\d-]+ [\d:.]+ \[[IVW]:onnxruntime:.*GPU device discovery failed",
        )
    )
)


def leave_out() -> None:
    """Let native lines pass through the filter, from here to the end of this process.

    Python's own stderr does not go through it, and stays a terminal where it is one. Where there
    is no `fork`, or the user wants everything, nothing is filtered.
    """
    if os.environ.get(LEVEL) == EVERYTHING:
        return
    # What TensorFlow writes in Python, such as its advice on retracing, has a level of its own.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    if not hasattr(os, "fork"):
        return
    try:
        terminal = os.dup(STDERR)
    except OSError:  # the process has no stderr
        return
    sys.stderr.flush()
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(writing)
        _pass_on(reading, terminal)
    os.close(reading)
    os.dup2(writing, STDERR)
    os.close(writing)
    sys.stderr = open(  # noqa: SIM115 (as long as the process)
        terminal, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace"
    )


def _pass_on(source: int, target: int) -> None:
    """What the filter does, until all processes that write to `source` have ended."""
    # Ctrl-C is for the process that writes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for stream in range(STDERR + 1):
        os.close(stream)
    try:
        with open(source, "rb") as lines, open(target, "wb", buffering=0) as shown:
            for line in lines:
                shown.write(own(line))
    finally:
        os._exit(0)


def own(line: bytes) -> bytes:
    """`line`, if it says more than how a library has started; else nothing."""
    return b"" if FOREIGN.match(line) else line
