"""What an artifact costs where it runs: measured in a process that does nothing else.

`main` is that process. It lives here, and not beside what starts it, because it must import no
more than the artifact's own runtime: the memory that it needs is one of the figures.
"""

import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from keras_bottleneck.runtime import load
from keras_bottleneck.runtime.problems import need
from keras_bottleneck.runtime.timing import timed

LEAST_RUNS = 50
# Of these the runtime takes the number itself; TensorFlow's threads belong to the process.
TAKE_THREADS = (".onnx", ".tflite")


def main(job_path: str) -> None:
    """Measure as the JSON file at `job_path` says, and write what was found.

    Of the job, "artifact" is the path of the artifact, "inputs" that of an .npy file of samples,
    "threads" the CPU threads, "outputs" where the outputs go as .npy, and "result" where the
    figures go as JSON: `load_ms`, `p50_ms`, `p90_ms`, `images_per_s` and `peak_bytes`, the
    most memory that was resident, without the samples; or `problem`, a sentence.
    """
    job = json.loads(Path(job_path).read_text())
    try:
        result = _measured(job)
    except (ValueError, ImportError) as error:
        result = {"problem": str(error)}
    Path(job["result"]).write_text(json.dumps(result))


def _measured(job: dict[str, Any]) -> dict[str, Any]:
    path, threads = Path(job["artifact"]), job["threads"]
    inputs = np.load(job["inputs"])
    if path.suffix not in TAKE_THREADS:
        _limit_tensorflow(threads)
        threads = None
    # The first time imports the runtime, which belongs to the process and not to the file.
    load(path, threads)
    gc.collect()
    start = time.perf_counter()
    predictor = load(path, threads, trusted=True)  # what the runtime takes, and not the hash
    load_ms = 1e3 * (time.perf_counter() - start)
    outputs, seconds = timed(predictor, inputs, LEAST_RUNS)
    np.save(job["outputs"], outputs)
    p50, p90 = np.percentile(seconds, (50, 90))
    peak = _peak_bytes()
    return {
        "load_ms": load_ms,
        "p50_ms": 1e3 * float(p50),
        "p90_ms": 1e3 * float(p90),
        "images_per_s": 1 / float(np.mean(seconds)),
        "peak_bytes": None if peak is None else peak - inputs.nbytes,
    }


def _limit_tensorflow(threads: int) -> None:
    tf = need("tensorflow", "tensorflow", "model of TensorFlow's")
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def _peak_bytes() -> int | None:
    """The most memory that was resident in this process; None where the system does not say."""
    if sys.platform == "linux":
        # Not getrusage: on Linux its figure begins with that of the process that started this one.
        lines = Path("/proc/self/status").read_text().splitlines()
        found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
        return int(found[0]) * 1024 if found else None
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None
