"""Starts jobs of several processes quickly: they are forked where Keras is imported already.

Run as a program, it reads jobs from stdin, a JSON document in each line, and answers with one.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
LIMIT_S = 600


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    seconds: float
    err: str


class Launcher:
    """A Python process in which Keras is imported, and which forks the processes of jobs."""

    def __init__(self, folder):
        self.folder = folder
        environment = {
            "KERAS_BACKEND": "jax",
            "JAX_COMPILATION_CACHE_DIR": str(folder / "cache"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            **os.environ,
        }
        self.server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def run(self, name, processes=2, survivors=None, environment=None, **arguments):
        """Run a job of `distributed_training.main`; returns how each process ended.

        Seconds are counted from the moment when the first process has ended or stands still. When
        the `survivors` have ended, the others are killed; by default there is none to wait for in
        vain.
        """
        arguments.setdefault("out", str(self.folder / name))
        job = {
            "processes": processes,
            "survivors": list(range(processes)) if survivors is None else survivors,
            "environment": environment or {},
            "arguments": arguments,
            "log": str(self.folder / f"{name}.err"),
        }
        self.server.stdin.write(json.dumps(job) + "\n")
        self.server.stdin.flush()
        return [Ended(*one) for one in json.loads(self.server.stdout.readline())]

    def written(self, name, process=0):
        """What a process of the job `name` has left: weights, optimizer, history."""
        import numpy as np

        with np.load(self.folder / f"{name}.{process}.npz") as file:
            return dict(file)

    def close(self):
        self.server.stdin.close()
        self.server.wait(60)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def serve(jobs):
    """Answer every job; in the processes that are forked, returns their arguments instead."""
    for line in jobs:
        job = json.loads(line)
        address = f"127.0.0.1:{free_port()}"
        pids = []
        for number in range(job["processes"]):
            child = os.fork()
            if not child:
                log = os.open(f"{job['log']}.{number}", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
                os.dup2(log, 1)
                os.dup2(log, 2)
                os.environ.update(job["environment"])
                if job["processes"] > 1:
                    os.environ["KERAS_DISTRIBUTION_JOB_ADDRESSES"] = address
                    os.environ["KERAS_DISTRIBUTION_NUM_PROCESSES"] = str(job["processes"])
                    os.environ["KERAS_DISTRIBUTION_PROCESS_ID"] = str(number)
                return job["arguments"]
            pids.append(child)
        codes, seconds = waited(pids, job["survivors"])
        logs = [Path(f"{job['log']}.{number}").read_text() for number in range(len(pids))]
        print(json.dumps(list(zip(codes, seconds, logs, strict=True))), flush=True)
    return None


def waited(pids, survivors):
    """Exit codes, and seconds since something had happened to the first process."""
    codes, ends, began = [None] * len(pids), [0.0] * len(pids), None
    limit = time.monotonic() + LIMIT_S
    while any(codes[one] is None for one in survivors) and time.monotonic() < limit:
        for number, pid in enumerate(pids):
            if codes[number] is None:
                found, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
                if found:
                    began = began or time.monotonic()
                    if not os.WIFSTOPPED(status):
                        codes[number] = os.waitstatus_to_exitcode(status)
                        ends[number] = time.monotonic() - began
        time.sleep(0.02)
    for number, pid in enumerate(pids):
        if codes[number] is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            codes[number] = -signal.SIGKILL
    return codes, ends


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    import distributed_training

    given = serve(sys.stdin)
    if given is not None:
        distributed_training.main(**given)
