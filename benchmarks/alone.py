"""Python processes that are measured as a whole.

The operating system counts into a process's peak memory that of the process which started it. So
this file, which is small, is started first, and starts the one to be measured.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """What a process has taken from its start to its end, and what it printed."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    printed: str


def alone(*command: str) -> Cost:
    """Run Python with the arguments `command`.

    Raises:
        RuntimeError: If it fails, with the last line of what it says.
    """
    starter = [sys.executable, "-S", __file__, *command]
    done = subprocess.run(starter, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"{' '.join(command)[:200]} failed: {last}")
    printed, _, measured = done.stdout.rstrip("\n").rpartition("\n")
    return Cost(*json.loads(measured), printed)


def _start(command: list[str]) -> int:
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command])
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    print(json.dumps([seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]))
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(_start(sys.argv[1:]))
