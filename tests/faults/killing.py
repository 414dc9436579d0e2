"""SIGKILL, at a chosen step of what a job does to the file system, or at a chosen moment."""

import mmap
import os
import signal
import struct
import sys
import threading
import time
import traceback

# What Python tells an audit hook before it is done.
STEPS = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "shutil.rmtree")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def killed_at_step(job, step):
    """Whether `job()` was killed before its `step`-th change of files; False if it has fewer.

    It runs in a copy of this process, in which nothing but Python may have worked yet.
    """

    def arm():
        left = [step]

        def hear(event, arguments):
            if _changes(event, arguments):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hear)

    return _forked(job, arm)


def _changes(event, arguments):
    return event in STEPS or (event == "open" and bool((arguments[2] or 0) & WRITING))


def killed_after(job, seconds):
    """Whether `job()` was killed, `seconds` after it began; False if it came to its end first."""

    def arm():
        def wait():
            time.sleep(seconds)
            os.kill(os.getpid(), signal.SIGKILL)

        threading.Thread(target=wait, daemon=True).start()

    return _forked(job, arm)


def changes_of(job):
    """How many changes of files `job()` makes."""
    shared = mmap.mmap(-1, 8)

    def arm():
        def hear(event, arguments):
            if _changes(event, arguments):
                (so_far,) = struct.unpack("Q", shared[:])
                shared[:] = struct.pack("Q", so_far + 1)

        sys.addaudithook(hear)

    if _forked(job, arm):
        raise RuntimeError("The job was killed by somebody else.")
    return struct.unpack("Q", shared[:])[0]


def finished(job):
    """Runs `job()` in a copy of this process, and raises if it fails."""
    if _forked(job, lambda: None):
        raise RuntimeError("The job was killed by somebody else.")


def _forked(job, arm):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            arm()
            job()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    if status:
        raise RuntimeError("The job failed; its traceback is above.")
    return False
