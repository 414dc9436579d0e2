"""Steps of one and of two processes on one core each, against the model of what they should cost.

A step of n processes costs what one process computes, plus a latency for every collective, plus
the time in which the gradients go through the wire:

    step = compute(batch / n) + collectives * latency + bytes of gradients / bandwidth

Each part is measured by itself: the first with one process, the collectives are counted in the
compiled step, latency and bandwidth are those of sums over all processes. One and two processes
take turns; medians are reported, and what a collective must have taken inside of the step: where a
process has a single core, that is far more than by itself.

    KERAS_BACKEND=jax python benchmarks/scaling.py --network ResNet20 --batch 32
"""

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZES = (1, 1 << 20)


def sums(job) -> list[float]:
    """Median seconds of a sum of float32 vectors over all processes, for each of `SIZES`."""
    import jax
    import numpy as np

    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("all",))
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("all"))
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    add = jax.jit(lambda rows: rows.sum(axis=0), out_shardings=everywhere)
    found = []
    for size in SIZES:
        rows = jax.make_array_from_process_local_data(spread, np.ones((1, size), "float32"))
        seconds = []
        for _ in range(60):
            start = time.perf_counter()
            add(rows).block_until_ready()
            seconds.append(time.perf_counter() - start)
        found.append(statistics.median(seconds[10:]))
    return found


def work(arguments: argparse.Namespace) -> None:
    """One process: trains, and prints its figures."""
    import keras
    import numpy as np

    import keras_bottleneck as kb

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.ticks = []

        def on_train_batch_end(self, batch, logs=None):
            self.ticks.append(time.perf_counter())

    with kb.distribution.initialize(step_timeout_s=300) as job:
        model = kb.models.NETWORKS[arguments.network].build(
            input_shape=(arguments.size, arguments.size, 3), classes=10
        )
        batch, clock = arguments.batch * job.processes, Clock()
        images = np.random.default_rng(0).normal(
            size=(batch * arguments.steps, arguments.size, arguments.size, 3)
        )
        labels = np.arange(len(images)) % 10
        recipe = kb.training.Recipe(epochs=2, batch_size=batch)
        job.fit(recipe, model, (images.astype("float32"), labels), callbacks=[clock])
        gradients = sum(int(np.prod(one.shape)) for one in model.trainable_variables)
        figures = {
            "step": statistics.median(np.diff(clock.ticks)),
            "bytes": 4 * gradients,
            "sums": sums(job) if job.processes > 1 else None,
        }
        if job.process == 0:
            print(json.dumps(figures))


def measured(processes: int, words: list[str]) -> dict:
    """The figures of a job of that many processes, each on a core of its own."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    with tempfile.TemporaryDirectory() as dump:
        started = []
        for process in range(processes):
            environment = dict(os.environ)
            if processes > 1:
                environment["KERAS_DISTRIBUTION_JOB_ADDRESSES"] = f"127.0.0.1:{port}"
                environment["KERAS_DISTRIBUTION_NUM_PROCESSES"] = str(processes)
                environment["KERAS_DISTRIBUTION_PROCESS_ID"] = str(process)
            if process == 0:
                flags = f"--xla_dump_to={dump} --xla_dump_hlo_module_re=.*train_step.*"
                environment["XLA_FLAGS"] = f"{flags} --xla_dump_hlo_as_text"
            command = ["taskset", "-c", str(process), sys.executable, __file__, "--work", *words]
            started.append(
                subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
            )
        printed = [one.communicate()[0] for one in started]
        if any(one.returncode for one in started):
            raise SystemExit("a process has failed")
        figures = json.loads(printed[0].splitlines()[-1])
        texts = [path.read_text() for path in Path(dump).glob("*after_optimizations.txt")]
    found = (re.findall(r" all-reduce(?:-start)?\(", text) for text in texts)
    figures["collectives"] = max(map(len, found), default=0)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="ResNet20")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=32, help="samples of a process")
    parser.add_argument("--steps", type=int, default=20, help="of which the median is taken")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments)
        return
    words = [word for word in sys.argv[1:] if word != "--work"]
    rounds = [(measured(1, words), measured(2, words)) for _ in range(arguments.rounds)]
    alone = statistics.median(one["step"] for one, _ in rounds)
    both = statistics.median(two["step"] for _, two in rounds)
    latency, large = (statistics.median(two["sums"][i] for _, two in rounds) for i in (0, 1))
    bandwidth = 4 * SIZES[1] / max(large - latency, 1e-9)
    last = rounds[-1][1]
    waiting = last["collectives"] * latency
    moving = last["bytes"] / bandwidth
    expected = alone + waiting + moving
    print(f"one process: {1e3 * alone:.1f} ms a step of {arguments.batch} samples")
    print(
        f"{last['collectives']} collectives of {1e6 * latency:.0f} us: {1e3 * waiting:.1f} ms; "
        f"{last['bytes'] / 1e6:.2f} MB at {bandwidth / 1e6:.0f} MB/s: {1e3 * moving:.1f} ms"
    )
    print(f"two processes, expected: {1e3 * expected:.1f} ms, efficiency {alone / expected:.0%}")
    print(f"two processes, measured: {1e3 * both:.1f} ms, efficiency {alone / both:.0%}")
    within = (both - alone - moving) / last["collectives"]
    print(f"inside of the step, a collective takes {1e3 * within:.1f} ms")
    ratios = ", ".join(f"{one['step'] / two['step']:.0%}" for one, two in rounds)
    print(f"efficiency in each round: {ratios}")


if __name__ == "__main__":
    main()
