"""Real jobs, killed at random: `python -m tests.faults.kill export --trials 50 --seed 0`.

Every other one is killed at a random moment, the rest before a random one of their changes to the
file system, of which the last, where files are put in place, are the likelier. After each, what is
listed is read as users read it: it must compute what one of the two models computes, or be refused
in one sentence. A last run, which nobody kills, must leave nothing behind that is not listed. Exits
with 1 on a loss.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np

from .killing import changes_of, finished, killed_after, killed_at_step

SHAPE = (12, 12, 3)
CLASSES = 3
TOLERANCE = 0.1  # int8 included; the two models differ by more
VERSIONS = (0, 1)


def network(version):
    import keras

    import keras_bottleneck as kb

    keras.utils.set_random_seed(version)
    model = kb.ResNet(
        "basic", (1,), filters=(8,), stem="cifar", input_shape=SHAPE, classes=CLASSES, name="small"
    )
    # Sure of a class, another one in each version.
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel, 4 * np.eye(CLASSES, dtype=np.float32)[version]])
    return model


def images():
    return np.random.default_rng(0).random((8, *SHAPE), np.float32)


def export(folder, version):
    import keras_bottleneck as kb

    kb.export_model(network(version), folder / "files", verify=images())


def quantize(folder, version):
    import keras_bottleneck as kb

    quantized = kb.quantize(network(version), images())
    kb.export_model(quantized, folder / "files", verify=images())
    kb.export.save_model(quantized, folder / "quantized.keras")


def benchmark(folder, version):
    import keras_bottleneck as kb

    source = folder / "source.keras"
    kb.export.save_model(network(version), source)
    report = kb.benchmarking.benchmark(source, images(), formats=("keras", "tflite"))
    assert all(cell.status == "ok" for cell in report.cells), report


JOBS = {"export": export, "quantize": quantize, "benchmark": benchmark}


def reference(path):
    """What the two models compute."""
    import keras

    found = [keras.ops.convert_to_numpy(network(version)(images())) for version in VERSIONS]
    np.save(path, np.stack(found))


def read(folder, path, strict):
    """Read all that is there as users do; what was refused and what ran go into a JSON file."""
    import keras_bottleneck as kb

    known = np.load(path.with_name("reference.npy"))
    found = Counter()
    manifests = sorted(folder.rglob("manifest.json"))
    listed = [
        one.parent / name for one in manifests for name in kb.runtime.manifest.read(one.parent)
    ]
    for artifact in [*listed, *sorted(folder.rglob("*.keras"))]:
        if artifact.name.startswith("."):
            continue  # Keras names what it is writing so
        try:
            outputs = kb.runtime.load(artifact).run(images())
        except ValueError as error:
            assert str(error).startswith("`path` must be "), error
            assert "\n" not in str(error)
            found["refused"] += 1
            continue
        near = np.abs(outputs - known).max(axis=(1, 2))
        assert near.min() < TOLERANCE < near.max(), (artifact, near)
        found["right"] += 1
    for report in folder.rglob("benchmark.json"):
        kb.benchmarking.BenchmarkReport.from_json(report.read_text())
    if strict:
        assert not found["refused"], found
        left = [one for one in folder.rglob("*") if one.name.startswith(".") or ".part" in one.name]
        assert not left, left
    path.write_text(json.dumps(found))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("job", choices=list(JOBS))
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kill-") as folder:
        lost = trials(JOBS[options.job], Path(folder), options.trials, options.seed)
    sys.exit(1 if lost else 0)


def trials(job, home, count, seed):
    """Kill `job` so often; returns how often something was lost, and prints each trial."""
    rng = random.Random(seed)
    folder, found = home / "job", home / "found.json"
    folder.mkdir()
    finished(partial(reference, home / "reference.npy"))
    start = time.monotonic()
    steps = changes_of(partial(job, folder, 0))
    seconds = time.monotonic() - start
    print(f"{job.__name__}: {steps} changes in {seconds:.1f} s", flush=True)
    lost = killed = 0
    for trial in range(count):
        run = partial(job, folder, VERSIONS[(trial + 1) % 2])
        if trial % 2:
            # The nearer to the end, the likelier.
            step = steps - int(steps * rng.random() ** 3)
            what, ended = f"before change {step}", killed_at_step(run, step)
        else:
            moment = seconds * rng.random()
            what, ended = f"after {moment:.1f} s", killed_after(run, moment)
        killed += ended
        lost += not _sound(folder, found, False, what if ended else "not killed")
    finished(partial(job, folder, 0))
    lost += not _sound(folder, found, True, "at the end")
    print(f"{job.__name__}: killed {killed} times, {lost} losses", flush=True)
    return lost


def _sound(folder, found, strict, what):
    try:
        finished(partial(read, folder, found, strict))
    except RuntimeError as error:
        print(f"{what}: LOST ({error})", flush=True)
        return False
    print(f"{what}: {found.read_text()}", flush=True)
    return True


if __name__ == "__main__":
    # Once, before the forks: each of these would import TensorFlow again.
    import keras_bottleneck.benchmarking
    import keras_bottleneck.export  # noqa: F401

    main()
