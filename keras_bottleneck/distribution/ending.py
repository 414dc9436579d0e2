"""How a process leaves a job that cannot go on."""

import atexit
import os
import re
import sys

from keras_bottleneck import failures
from keras_bottleneck.checks import first_line

FAILED = 1
# sysexits.h: a temporary failure, try again.
TRY_AGAIN = 75
# The exit codes that shells and schedulers know from processes ended by SIGINT and SIGTERM.
INTERRUPTED, TERMINATED = 128 + 2, 128 + 15

# What the message of a collective contains when the other process is gone; its type varies.
LOST = re.compile(r"Gloo [\w -]+ failed|NCCL|CoordinationService|heartbeat timeout|Socket closed")
REMEDY = "start all processes again: they go on from the last checkpoint"


class DistributionError(RuntimeError):
    """Another process of the job has ended, hangs, or trains something else."""


def lost(error: BaseException) -> str | None:
    """The message of a collective whose other process is gone; None for any other error."""
    return next(
        (first_line(cause) for cause in failures.chain(error) if LOST.search(str(cause))),
        None,
    )


def leave_at_once(code: int) -> None:
    """Makes this program end without waiting for other processes.

    jax's own exit handler, which `atexit` would run next, waits for the others at a barrier. They
    wait for this process inside of a step, and all would be aborted with stack traces.
    """
    atexit.register(_leave, code)


def abandon(message: str) -> None:
    """Prints `message`, and ends the process even if its main thread is waiting."""
    sys.stderr.write(f"error: {message}\n")
    _leave(TRY_AGAIN)


def _leave(code: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
