"""Many inputs in one process, which is replaced when one of them kills it or stops it."""

import os
import random
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from .killing import WRITING
from .readers import READERS

SECONDS = 10
DEADLINE_S = 180
BYTES = 2**30
POLL_S = 0.05
# What no reader has a reason to do.
HARMFUL = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.Popen",
    "socket.connect",
)


@dataclass(frozen=True)
class Outcome:
    """What came of one input.

    `kind` is "read", "refused", "crash", "hang", "defect" (our own code broke its promise: another
    exception than one sentence) or "harm".
    """

    index: int
    kind: str
    text: str = ""


def content_of(name, seed, index, wholes):
    """The bytes of input `index` of a reader: the same for the same seed."""
    return READERS[name].damage(random.Random(f"{seed}/{name}/{index}"), wholes)


def outcomes(name, seed, indices, wholes):
    """Yields an `Outcome` for each of `indices`, of inputs damaged from `wholes`.

    Call it in a process in which no runtime has worked yet: it forks.
    """
    waiting = list(indices)
    while waiting:
        done = 0
        with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
            for found in _batch(name, seed, waiting, wholes, Path(scratch)):
                done += 1
                yield found
        waiting = waiting[done:]


def _batch(name, seed, indices, wholes, scratch):
    """Those of one process: all, or up to the one that ended it."""
    told, telling = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(told)
            _work(name, seed, indices, wholes, scratch, telling)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(telling)
    os.set_blocking(told, False)
    done, rest, status, hung = 0, b"", None, False
    since, used = time.monotonic(), 0.0
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        lines = (rest + _available(told)).split(b"\n")
        rest = lines.pop()
        for line in lines:
            kind, _, text = line.decode().partition("\t")
            yield Outcome(indices[done], kind, text)
            done += 1
        if ended:
            break
        if lines:
            since, used = time.monotonic(), _seconds_of(pid)
        elif _seconds_of(pid) - used > SECONDS or time.monotonic() - since > DEADLINE_S:
            hung = True
            os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_S)
    os.close(told)
    if done == len(indices):
        return
    if not os.WIFSIGNALED(status):
        raise RuntimeError(f"{name}: the process of input {indices[done]} ended by itself")
    kind = "hang" if hung else "crash"
    yield Outcome(indices[done], kind, "" if hung else signal.Signals(os.WTERMSIG(status)).name)


def _available(descriptor):
    found = b""
    while True:
        try:
            piece = os.read(descriptor, 2**16)
        except BlockingIOError:
            return found
        if not piece:
            return found
        found += piece


def _seconds_of(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _work(name, seed, indices, wholes, scratch, telling):
    """The process: reads one input after the other and tells what came of it."""
    tempfile.tempdir = str(scratch)
    for stream in (1, 2):  # what native code prints
        os.dup2(os.open(scratch / "printed.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    reader = READERS[name]
    read = reader.read()
    harm = []
    _listen(harm, scratch)
    _limit()
    for index in indices:
        path = scratch / f"input{reader.suffix}"
        path.write_bytes(content_of(name, seed, index, wholes))
        harm.clear()
        kind, text = _judged(read, path)
        if harm:
            kind, text = "harm", "; ".join(harm)
        os.write(telling, f"{kind}\t{' '.join(text.split())[:400]}\n".encode("utf-8", "replace"))
        os.truncate(scratch / "printed.txt", 0)


def _judged(read, path):
    try:
        read(path)
    except ValueError as error:
        text = str(error)
        ours = text.startswith("`") and "Received: " in text and "\n" not in text
        return ("refused", text) if ours else ("defect", repr(error))
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return "defect", f"{error!r} in {Path(place.filename).name}:{place.lineno}"
    return "read", ""


def _listen(harm, scratch):
    def hear(event, arguments):
        if event in HARMFUL:
            harm.append(f"{event} {arguments!r:.100}")
        elif event == "open" and isinstance(arguments[0], str) and (arguments[2] or 0) & WRITING:
            path = os.path.abspath(arguments[0])
            if not path.startswith(str(scratch)) and path != os.devnull:
                harm.append(f"writes {path}")

    sys.addaudithook(hear)


def _limit():
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
