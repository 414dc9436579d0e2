"""Each library runs a model of two operators, in a process of its own."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from keras_bottleneck import failures
from keras_bottleneck.checks import SHOWN
from keras_bottleneck.console import track
from keras_bottleneck.doctor import small_models
from keras_bottleneck.doctor.environment import Environment

# At a time: each imports a whole library, which takes memory.
AT_ONCE = 2
ONEDNN_IS_ON = "oneDNN custom operations are on"


@dataclass(frozen=True)
class Trial:
    """What is tried.

    Attributes:
        name: What it is called.
        model: Its function in `small_models`.
        packages: What it needs; the first one is the one that is tried.
    """

    name: str
    model: str
    packages: tuple[str, ...]


TRIALS = (
    Trial("Keras", "keras", ("keras",)),
    Trial("TensorFlow", "tensorflow", ("tensorflow",)),
    Trial("TFLite converter", "tflite_converter", ("tensorflow",)),
    Trial("tf2onnx", "tf2onnx", ("tf2onnx", "onnx", "tensorflow")),
    Trial("LiteRT", "litert", ("ai-edge-litert",)),
    Trial("ONNX Runtime", "onnxruntime", ("onnxruntime",)),
    Trial("PyTorch", "torch", ("torch",)),
    Trial("JAX", "jax", ("jax",)),
)


@dataclass(frozen=True)
class Outcome:
    """How a trial went.

    Attributes:
        name: What was tried.
        status: "runs", "fails", "crashes", "hangs" or "not installed".
        seconds: How long the process took, import included.
        detail: What went wrong.
        fix: What to do about it.
        onednn: Whether TensorFlow said that oneDNN is on; None where it was not run.
    """

    name: str
    status: str
    seconds: float | None = None
    detail: str = ""
    fix: str = ""
    onednn: bool | None = None


def run_all(here: Environment, timeout: float) -> tuple[Outcome, ...]:
    """The outcome of every trial.

    Args:
        here: What is installed.
        timeout: Seconds that a trial may take.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = pool.map(lambda trial: outcome(trial, here, timeout), TRIALS)
        return tuple(track(outcomes, len(TRIALS), "run two operators"))


def outcome(trial: Trial, here: Environment, timeout: float) -> Outcome:
    """How one trial goes."""
    gpu_in_place = {"onnxruntime": "onnxruntime-gpu"}
    missing = [
        package
        for package in trial.packages
        if not here.has(package) and not here.has(gpu_in_place.get(package, package))
    ]
    if missing:
        return Outcome(trial.name, "not installed", fix=f"pip install {' '.join(missing)}")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        # -P: the folder of the script, this one, is no place to import from.
        command = [sys.executable, "-P", small_models.__file__, trial.model, folder]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0"}
        try:
            done = subprocess.run(
                command,
                env=environment,
                cwd=Path(folder),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            detail = f"it has not come to an end in {timeout:g} seconds"
            return Outcome(trial.name, "hangs", timeout, detail, _again(trial))
    seconds = time.perf_counter() - start
    onednn = ONEDNN_IS_ON in done.stderr if trial.model == "tensorflow" else None
    if done.returncode == 0:
        return Outcome(trial.name, "runs", seconds, onednn=onednn)
    if done.returncode < 0:
        return _crash(trial, -done.returncode, seconds)
    return _failure(trial, done.stderr, seconds)


def _crash(trial: Trial, number: int, seconds: float) -> Outcome:
    name = signal.Signals(number).name
    detail = f"the process ended with {name}"
    if name == "SIGILL":
        return Outcome(
            trial.name, "crashes", seconds, detail, "the processor lacks instructions: use another"
        )
    return Outcome(trial.name, "crashes", seconds, detail, _again(trial))


def _failure(trial: Trial, output: str, seconds: float) -> Outcome:
    known = failures.explain(output)
    if known is not None:
        fix = f"{known.failure.remedy} ({known.failure.link})"
        return Outcome(trial.name, "fails", seconds, known.sentence, fix)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    detail = lines[-1][:SHOWN] if lines else "it said nothing"
    return Outcome(trial.name, "fails", seconds, detail, _again(trial))


def _again(trial: Trial) -> str:
    return f"pip install --force-reinstall {' '.join(trial.packages)}, in a new virtual environment"
