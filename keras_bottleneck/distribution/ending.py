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
# What shells and schedulers see of processes that SIGINT and SIGTERM have ended.
INTERRUPTED, TERMINATED = 128 + 2, 128 + 15

# What collectives say whose other end is gone, in exceptions of any type.
LOST = re.compile(r"Gloo [\w -]+ failed|NCCL|CoordinationService|heartbeat timeout|Socket closed")
REMEDY = "start all processes again: they go on from the last checkpoint"


class DistributionError(RuntimeError):
    """Another process of the job has ended, hangs, or trains something else."""


def lost(error: BaseException) -> str | None:
    """What a collective says whose other end is gone; None if `error` is no such thing."""
    return next(
        (first_line(cause) for cause in failures.chain(error) if LOST.search(str(cause))),
        None,
    )


def leave_at_once(code: int) -> None:
    """Makes the end of this program one that waits for nobody.

    jax's own way out, which `atexit` would run next, meets the other processes at a barrier: they
    wait for this one inside of a step, and all would be aborted with stack traces.
    """
    atexit.register(_leave, code)


def abandon(message: str) -> None:
    """Says why, and ends the process, whatever its main thread waits for."""
    sys.stderr.write(f"error: {message}\n")
    _leave(TRY_AGAIN)


def _leave(code: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
