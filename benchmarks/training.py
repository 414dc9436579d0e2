"""Training steps per second: this package against keras.applications, stock batch norm, PyTorch.

A step is forward, backward and an SGD step with momentum on one batch that stays the same; all
contenders take turns in one process. Peers that are not installed are named. On the jax backend
(`KERAS_BACKEND=jax`) the same steps run on whatever device jax has.

    python benchmarks/training.py --networks ResNet50 --sizes 224 --dtypes float32 bfloat16
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import networks
import numpy as np
from alone import alone
from turns import Contender, Event, compete, show, write

BATCH = {224: 16, 96: 32, 32: 64}
SIZES = tuple(BATCH)
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def batch(size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    images = generator.normal(size=(count, size, size, 3)).astype(np.float32)
    return images, generator.integers(0, networks.CLASSES, count)


def keras_step(
    build: Callable[[str, int], keras.Model], name: str, size: int, dtype: str, count: int
) -> Callable[[], Any]:
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(POLICIES[dtype])
    try:
        model = build(name, size)
    finally:
        keras.config.set_dtype_policy("float32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss)
    images, labels = (keras.ops.convert_to_tensor(one) for one in batch(size, count))
    return lambda: model.train_on_batch(images, labels)


def torch_step(
    name: str, size: int, dtype: str, count: int, compiled: bool = False
) -> Callable[[], Any]:
    import torch

    torch.manual_seed(0)
    network = networks.torch_network(name).train()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = network.to(device)
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9)
    images, labels = map(torch.from_numpy, batch(size, count))
    images = images.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last).to(device)
    labels = labels.to(device)
    forward = torch.compile(network) if compiled else network

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=dtype == "bfloat16"):
            logits = forward(images)
        loss = torch.nn.functional.cross_entropy(logits.float(), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def makers(name: str, compiled: bool) -> tuple[dict[str, Callable], dict[str, str]]:
    """How each contender's step is made; and why others are missing."""
    found: dict[str, Callable] = {
        "keras_bottleneck": partial(keras_step, networks.ours),
        "with stock batch norm": partial(keras_step, networks.ours_with_stock_batch_norm),
    }
    missing = {}
    if hasattr(keras.applications, name):
        found["keras.applications"] = partial(keras_step, networks.keras_applications)
    else:
        missing["keras.applications"] = f"has no {name}"
    lacking = networks.missing_for_torch()
    if lacking:
        missing["PyTorch"] = lacking
    else:
        found["PyTorch"] = torch_step
        if compiled:
            found["PyTorch, torch.compile"] = partial(torch_step, compiled=True)
    return found, missing


def peak_memory(contender: str, name: str, size: int, dtype: str, count: int) -> float:
    """MiB of a process that makes three steps of one contender."""
    case = ["--networks", name, "--sizes", str(size), "--dtypes", dtype, "--batch", str(count)]
    return alone(__file__, "--alone", contender, *case).peak_mib


def three_steps(arguments: argparse.Namespace) -> None:
    (name,), (size,), (dtype,) = arguments.networks, arguments.sizes, arguments.dtypes
    make = makers(name, compiled=True)[0][arguments.alone]
    step = make(name, size, dtype, arguments.batch)
    for _ in range(3):
        step()


def event(name: str, size: int, dtype: str, arguments: argparse.Namespace) -> Event:
    count = arguments.batch or BATCH.get(size, 32)
    found, missing = makers(name, arguments.compiled)
    contenders = [
        Contender(title, make(name, size, dtype, count), count)
        for title, make in found.items()
        if not arguments.only or title in (arguments.only, "keras_bottleneck")
    ]
    compete(contenders, arguments.rounds, warm_up=2)
    if arguments.memory:
        for one in contenders:
            one.peak_mib = peak_memory(one.name, name, size, dtype, count)
    title = f"{name}, {size} px, {dtype}, batch {count}, training on {device()}"
    facts = {"network": name, "size": size, "dtype": dtype, "batch": count, "device": device()}
    best = 1 / contenders[0].percentile(50)
    # Backward passes are two products for each of the forward pass.
    facts["macs_per_second"] = 3 * networks.multiplications(networks.ours(name, size)) * best
    return Event(title, contenders, missing, facts)


def device() -> str:
    return f"{keras.distribution.list_devices()[0]} ({keras.config.backend()})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["ResNet50", "ResNet18", "MobileNetV2"])
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--dtypes", nargs="+", choices=POLICIES, default=list(POLICIES))
    parser.add_argument("--batch", type=int, help=f"by default by size: {BATCH}")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", help="name of the one peer to run")
    parser.add_argument("--compiled", action="store_true", help="also PyTorch with torch.compile")
    parser.add_argument("--memory", action="store_true", help="also the peak memory of each alone")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help="write all figures to this JSON file")
    arguments = parser.parse_args()
    if arguments.alone:
        return three_steps(arguments)
    if "cpu" in device().lower():
        print("No accelerator is at hand: this measures the processor.", file=sys.stderr)
    events = []
    for name in arguments.networks:
        for size in arguments.sizes:
            for dtype in arguments.dtypes:
                events.append(event(name, size, dtype, arguments))
                show(events[-1])
    if arguments.output:
        write(events, arguments.output, "keras", "tensorflow", "jax", "torch")
    return None


if __name__ == "__main__":
    main()
