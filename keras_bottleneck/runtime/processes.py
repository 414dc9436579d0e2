"""A job in a process of its own, which ends with the one that started it; a crash is a sentence."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

# `keras_bottleneck` imports keras where it finds it: not where a runtime's memory is measured.
WITHOUT_KERAS = "import sys; sys.modules['keras'] = None; "
# The other end of its stdin is closed when the process that started it is gone, however that ended.
UNTIL_PARENT_ENDS = (
    "import os, sys, threading; end = lambda: (os.read(0, 1), os._exit(1)); "
    "threading.Thread(target=end, daemon=True).start(); "
)

# What a process lacked that the system killed so.
SHORT = {"SIGKILL": "memory", "SIGXCPU": "time"}


class JobError(RuntimeError):
    """A job that did not end well; the message is one sentence."""


class JobTimeoutError(JobError):
    """A job that took too long."""


def run(
    module: str,
    job: dict[str, Any],
    scratch: Path,
    timeout: float,
    log: Path | None = None,
    keras: bool = True,
) -> dict[str, Any]:
    """Run `module.main(job_path)` in a new interpreter; returns the JSON that it writes.

    Args:
        module: Of this package.
        job: What the module reads; "result" is added.
        scratch: Folder for the two JSON files, and for what the process prints.
        timeout: Seconds until the process is killed.
        log: Where that is kept if the process crashes.
        keras: Whether it may import Keras.

    Raises:
        JobError: If the process crashed, was killed, or took too long (a JobTimeoutError).
    """
    job_path, result = scratch / "job.json", scratch / "result.json"
    result.unlink(missing_ok=True)
    job_path.write_text(json.dumps({**job, "result": str(result)}))
    code = f"{UNTIL_PARENT_ENDS}from {module} import main; main(sys.argv[1])"
    command = [sys.executable, "-c", code if keras else WITHOUT_KERAS + code, str(job_path)]
    printed = scratch / "printed.txt"
    reading, held = os.pipe()
    try:
        with printed.open("wb") as stream:
            done = subprocess.run(
                command,
                stdin=reading,
                stdout=stream,
                stderr=stream,
                env=_environment(),
                timeout=timeout,
            )
    except subprocess.TimeoutExpired:
        raise JobTimeoutError(f"It took longer than `timeout`, {timeout:g} seconds.") from None
    except OSError as error:
        raise JobError(f"No process could be started ({error.strerror}).") from None
    finally:
        os.close(reading)
        os.close(held)
    if done.returncode or not result.exists():
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(printed, log)
        raise JobError(_why(done.returncode, printed, log))
    return json.loads(result.read_text())


def _environment() -> dict[str, str]:
    """That of this process, with its import path, and Keras on the backend that exports."""
    path = os.pathsep.join(one or os.getcwd() for one in sys.path)
    return {
        "TF_CPP_MIN_LOG_LEVEL": "2",
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "PYTHONPATH": path,
    }


def _why(code: int, printed: Path, log: Path | None) -> str:
    where = "" if log is None else f"; what it printed is in {log}"
    if code < 0:
        name = signal.Signals(-code).name
        short = f", as happens where {SHORT[name]} runs out" if name in SHORT else ""
        return f"Its process was killed by {name}{short}{where}."
    lines = printed.read_text(errors="replace").strip().splitlines() or ["it printed nothing"]
    return f"Its process ended with exit code {code} ({lines[-1].strip()}){where}."
