"""Training on an accelerator: ResNet-50 on the jax backend in bfloat16 against PyTorch.

A turn is a number of steps in a row, so that the processor may run ahead of the device. The images
lie on the device; with `--photos` they come from JPEG files, by one loader for all contenders.
Where no accelerator is at hand the same runs on the processor, with small batches, and says so.

    KERAS_BACKEND=jax python benchmarks/accelerator.py --output out.json
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice, repeat
from pathlib import Path
from typing import Any

# PyTorch needs memory of the same device.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax
import keras
import networks
import numpy as np
from turns import Contender, Event, compete, show, write

SIZE = 224
BATCH = {"gpu": 256, "cpu": 4}
STEPS = {"gpu": 20, "cpu": 2}
# A batch in memory, or a loader that gives one after the other.
Batches = Iterable[tuple[Any, Any]]


def synthetic(count: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)
    return images, generator.integers(0, networks.CLASSES, count)


class Keras:
    """A Keras network and the steps that `fit` makes with it."""

    def __init__(self, build: Callable[[str, int], keras.Model], name: str, batches: Batches):
        keras.utils.set_random_seed(0)
        keras.config.set_dtype_policy("mixed_bfloat16")
        try:
            image = keras.Input((SIZE, SIZE, 3), dtype="uint8")
            network = build(name, SIZE)
            pixels = keras.layers.Rescaling(1 / 64, offset=-2.0)(image)
            self.model = keras.Model(image, network(pixels))
        finally:
            keras.config.set_dtype_policy("float32")
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss)
        self.batches = batches

    def __call__(self, steps: int) -> None:
        self.model.fit(on_device(self.batches), steps_per_epoch=steps, verbose=0)


def on_device(batches: Batches) -> Iterator[tuple[Any, Any]]:
    if isinstance(batches, tuple):
        yield from repeat(tuple(map(jax.device_put, batches)))
    for images, labels in batches:
        yield np.asarray(images), np.asarray(labels)


class Torch:
    """torchvision's or transformers's network, channels last, with automatic mixed precision."""

    def __init__(self, compiled: bool, name: str, batches: Batches):
        import torch

        torch.manual_seed(0)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.network = networks.torch_network(name).train().to(self.device)
        self.forward = torch.compile(self.network) if compiled else self.network
        self.optimizer = torch.optim.SGD(self.network.parameters(), 0.01, momentum=0.9)
        self.batches = batches

    def __call__(self, steps: int) -> None:
        import torch

        batches = self.batches
        if isinstance(batches, tuple):
            images, labels = (torch.from_numpy(one).to(self.device) for one in batches)
            batches = repeat((images, labels))
        loss = torch.zeros(())
        for images, labels in islice(batches, steps):
            # Channels-last pixels are channels-first ones in another order of axes.
            images = images.to(self.device, non_blocking=True).permute(0, 3, 1, 2)
            labels = labels.to(self.device, non_blocking=True)
            self.optimizer.zero_grad(set_to_none=True)
            with torch.autocast(self.device, torch.bfloat16):
                logits = self.forward(images.float() / 64 - 2)
            loss = torch.nn.functional.cross_entropy(logits.float(), labels)
            loss.backward()
            self.optimizer.step()
        loss.item()


MAKERS: dict[str, Callable[[str, Batches], Callable[[int], None]]] = {
    "keras_bottleneck": partial(Keras, networks.ours),
    "with stock batch norm": partial(Keras, networks.ours_with_stock_batch_norm),
    "keras.applications": partial(Keras, networks.keras_applications),
    "PyTorch": partial(Torch, False),
    "PyTorch, torch.compile": partial(Torch, True),
}


def peak_mib(name: str) -> float | None:
    """MiB that the contender, the last that was made, had on the device at once."""
    if "PyTorch" in name:
        import torch

        return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
    statistics = jax.devices()[0].memory_stats()
    return statistics["peak_bytes_in_use"] / 2**20 if statistics else None


def contender(name: str, make: Callable, network: str, batches: Batches, steps: int) -> Contender:
    """One that has made its first steps, so that everything is compiled."""
    if "PyTorch" in name:
        import torch

        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    train = make(network, batches)
    train(2)
    print(f"{name}: ready after {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    return Contender(name, lambda: train(steps), steps, peak_mib=peak_mib(name))


def matrix_product_peak(side: int) -> float:
    """Multiply-accumulates per second of jax's bfloat16 matrix product."""
    keys = jax.random.split(jax.random.key(0))
    one, other = (jax.random.normal(key, (side, side), "bfloat16") for key in keys)
    product = jax.jit(lambda one, other: one @ other)
    product(one, other).block_until_ready()
    start = time.perf_counter()
    for _ in range(10):
        result = product(one, other)
    result.block_until_ready()
    return 10 * side**3 / (time.perf_counter() - start)


def missing(network: str) -> dict[str, str]:
    lacking = networks.missing_for_torch()
    found = {} if hasattr(keras.applications, network) else {"keras.applications": "has none"}
    return found | ({name: lacking for name in MAKERS if "PyTorch" in name} if lacking else {})


def event(title: str, batches: Batches, arguments: argparse.Namespace) -> Event:
    absent = missing(arguments.network)
    chosen = [one for one in MAKERS if one not in absent and one in arguments.contenders]
    contenders = [
        contender(name, MAKERS[name], arguments.network, batches, arguments.steps)
        for name in chosen
    ]
    compete(contenders, arguments.rounds, warm_up=1)
    for one in contenders:
        one.items *= arguments.batch
    macs = 3 * networks.multiplications(networks.ours(arguments.network, SIZE))
    peak = matrix_product_peak(8192 if arguments.platform == "gpu" else 1024)
    facts = {
        "network": arguments.network,
        "batch": arguments.batch,
        "device": str(jax.devices()[0].device_kind),
        "matrix_product_macs_per_second": peak,
        # Backward passes are two products for each of the forward pass.
        "utilization": {one.name: macs / one.percentile(50) / peak for one in contenders},
    }
    title = f"{arguments.network}, {SIZE} px, bfloat16, batch {arguments.batch}, {title}"
    return Event(f"{title}, training on {facts['device']}", contenders, absent, facts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="ResNet50")
    parser.add_argument("--batch", type=int, help=f"by default {BATCH}")
    parser.add_argument("--steps", type=int, help=f"in a turn; by default {STEPS}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--contenders", nargs="+", choices=MAKERS, default=list(MAKERS))
    parser.add_argument("--photos", type=Path, help="folder of JPEG files to train on")
    parser.add_argument("--output", type=Path, help="write all figures to this JSON file")
    arguments = parser.parse_args()
    if keras.config.backend() != "jax":
        parser.error("set KERAS_BACKEND=jax: the other backends are measured by training.py")
    arguments.platform = jax.default_backend()
    if arguments.platform == "cpu":
        print("No accelerator is at hand: this measures the processor.", file=sys.stderr)
    arguments.batch = arguments.batch or BATCH[arguments.platform]
    arguments.steps = arguments.steps or STEPS[arguments.platform]
    if arguments.photos:
        from photographs import loader

        count = arguments.batch * (arguments.steps + 2)
        batches = loader(arguments.photos, SIZE, arguments.batch, count)
        found = event("from JPEG files", batches, arguments)
    else:
        found = event("images on the device", synthetic(arguments.batch), arguments)
    show(found)
    for name, part in found.facts["utilization"].items():
        print(f"{name}: {part:.1%} of the matrix product's peak")
    if arguments.output:
        write([found], arguments.output, "keras", "jax", "torch")


if __name__ == "__main__":
    main()
