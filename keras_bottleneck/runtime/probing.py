"""Files that nobody vouches for, opened and run in a process of their own first.

Native runtimes trust the file: of thousands that were damaged on purpose, LiteRT crashed on some
and hung on others. `main` is that process; it ends with the file, and the caller's goes on.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from keras_bottleneck.failures import reason
from keras_bottleneck.runtime import kinds, manifest, processes
from keras_bottleneck.runtime.kinds import Kind, Runtime
from keras_bottleneck.runtime.ports import Feed, Shape
from keras_bottleneck.runtime.problems import unreadable

PROBING = __name__
# Of processor time; a busy machine may give it late.
SECONDS = 10
DEADLINE_S = 60.0
# For files of any size, and more in proportion to it: runtimes copy weights.
BYTES = 2**30
BYTES_PER_BYTE = 4
# Where a model takes images of any size.
SIDE = 64

# What has come through in this process: who tried it, and its hash.
_came_through: set[tuple[str, str]] = set()


def admit(path: Path, kind: Kind) -> None:
    """Let through an artifact that its manifest vouches for, or that has been tried.

    Raises:
        ValueError: If the manifest lists it with another hash, or it is damaged, or the process
            that tried it crashed, took more than 10 seconds of processor time, or needed more than
            1 GiB and four times the size of the file.
    """
    if not manifest.vouches_for(path) and kind.native:
        _probe(path, kind)


def _probe(path: Path, kind: Kind) -> None:
    try:
        refusal = on_trial(path, PROBING)
    except processes.JobError as error:
        raise unreadable(path, kind.name, f"opened {error}") from None
    if refusal is not None:
        raise ValueError(refusal)


def on_trial(path: Path, module: str) -> str | None:
    """What `module.main` says against a file, in a process of its own; None for nothing.

    Raises:
        JobError: If that process died, or came to no end; the message is a reason.
    """
    trial = module, manifest.sha256_of(path)
    if trial in _came_through:
        return None
    with tempfile.TemporaryDirectory(prefix="probe-") as scratch:
        try:
            job = {"path": str(path)}
            done = processes.run(module, job, Path(scratch), DEADLINE_S, keras=False)
        except processes.JobTimeoutError:
            raise processes.JobError("on trial, it did not come to an end") from None
        except processes.JobError as error:
            raise processes.JobError(f"on trial: {str(error).rstrip('.')}") from None
    if done["error"] is None:
        _came_through.add(trial)
    return done["error"]


def main(job_path: str) -> None:
    """Open and run the artifact at "path" of the JSON file at `job_path`.

    What goes into the file at "result" is `error`: a sentence, or null.
    """
    job = json.loads(Path(job_path).read_text())
    path, kind = kinds.find(job["path"])
    limit(path.stat().st_size)
    error = try_out(path, kind)
    Path(job["result"]).write_text(json.dumps({"error": None if error is None else str(error)}))


def try_out(path: Path, kind: Kind) -> ValueError | None:
    """What `runtime.load` would raise, or what is wrong when the artifact runs, in this process."""
    try:
        runtime = kind.open(path, 1)
        kind.read_metadata(path)
    except ImportError:  # the caller will meet it too
        return None
    except ValueError as error:
        return error
    problem = _problem(runtime)
    return None if problem is None else unreadable(path, kind.name, problem)


def _problem(runtime: Runtime) -> str | None:
    shapes = {port.name: port.shape for port in runtime.inputs}
    try:
        found = runtime.run(Feed({name: _noise(shape) for name, shape in shapes.items()}))
    except Exception as error:  # runtimes raise whatever they raise
        # The size that was made up may be the wrong one.
        free = any(None in shape[1:] for shape in shapes.values())
        if free and not isinstance(error, MemoryError):
            return None
        return f"it does not run: {reason(error)}"
    finite = all(np.isfinite(values).all() for values in found.values())
    return None if finite else "its outputs are not finite: NaN in its weights?"


def _noise(shape: Shape) -> np.ndarray:
    """Not zeros: a network that divides by a norm would give NaN for them."""
    sides = [shape[0] or 1, *(side or SIDE for side in shape[1:])]
    return np.random.default_rng(0).random(sides, np.float32)


def limit(size: int) -> None:
    """Bounds what this process may take for a file of `size` bytes, where systems know bounds."""
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + BYTES + BYTES_PER_BYTE * size
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
