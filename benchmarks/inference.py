"""Latency of one network as Keras model, folded Keras model, SavedModel, TFLite and ONNX file.

Within an event all contenders take turns in one process. Files are float32, float16 and int8, on
one thread and on two; a second figure is the part of the machine's float32 peak, as measured with
a matrix product, that the multiplications of the network reach. Peak memory is that of a process
which does nothing but load the file and run it.

    python benchmarks/inference.py --networks ResNet50 MobileNetV2 --output inference.json
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import keras
import networks
import numpy as np
from alone import alone
from turns import Contender, Event, compete, show, write

import keras_bottleneck as kb

FORMATS = {
    "LiteRT int8": "{name}_int8.tflite",
    "LiteRT float32": "{name}.tflite",
    "LiteRT float16": "{name}_float16.tflite",
    "ONNX Runtime int8": "{name}_int8.onnx",
    "ONNX Runtime float32": "{name}.onnx",
}
ALONE = {
    ".tflite": """
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter({path!r}, num_threads=1)
interpreter.allocate_tensors()
interpreter.invoke()
""",
    ".onnx": """
import numpy, onnxruntime
session = onnxruntime.InferenceSession({path!r}, providers=["CPUExecutionProvider"])
session.run(None, {{"image": numpy.zeros({shape}, numpy.float32)}})
""",
}


def photo_like(count: int, size: int) -> np.ndarray:
    """Noise with the smoothness of pictures."""
    coarse = np.random.default_rng(0).normal(size=(count, size // 8 + 1, size // 8 + 1, 3))
    return keras.ops.convert_to_numpy(keras.ops.image.resize(coarse, (size, size)))


def network(name: str, size: int) -> tuple[keras.Model, np.ndarray]:
    """The network with batch norm statistics of the images, and the images."""
    keras.utils.set_random_seed(0)
    images = photo_like(32, size)
    # Files are compared by probabilities: the logits of random weights are sensitive to rounding.
    model = networks.ours(name, size, "softmax")
    kb.training.recalibrate_batch_norm(model, images, 16)
    return model, images


def in_keras(name: str, model: keras.Model, images: np.ndarray, size: int, rounds: int) -> Event:
    """`predict` of a batch of 32, on all threads."""
    models = {"folded": kb.fold(model), "keras_bottleneck": model}
    missing = {}
    if hasattr(keras.applications, name):
        models["keras.applications"] = networks.keras_applications(name, size)
    else:
        missing["keras.applications"] = f"has no {name}"
    contenders = [
        Contender(title, lambda one=one: one.predict(images, verbose=0), len(images))
        for title, one in models.items()
    ]
    compete(contenders, rounds)
    return Event(f"{name}, {size} px, `predict` of {len(images)} images", contenders, missing)


def of_files(name: str, folder: Path, image: np.ndarray, threads: int, rounds: int) -> Event:
    """One image at a time, on so many threads."""
    contenders = []
    for title, pattern in FORMATS.items():
        path = folder / pattern.format(name=name)
        run = kb.runtime.load(path, threads=threads).run
        code = ALONE[path.suffix].format(path=str(path), shape=image.shape)
        peak = alone("-c", code).peak_mib
        contenders.append(Contender(title, lambda run=run: run(image), peak_mib=peak))
    compete(contenders, rounds, warm_up=3)
    return Event(f"{name}, {image.shape[1]} px, one image, threads: {threads}", contenders)


def served(name: str, folder: Path, image: np.ndarray, model: keras.Model, rounds: int) -> Event:
    """One image at a time in TensorFlow, on all threads."""
    saved = kb.runtime.load(folder / f"{name}_saved_model").run
    contenders = [
        Contender("SavedModel", lambda: saved(image)),
        Contender("Keras predict", lambda: model.predict(image, verbose=0)),
    ]
    compete(contenders, rounds, warm_up=3)
    return Event(f"{name}, {image.shape[1]} px, one image in TensorFlow", contenders)


def exported(name: str, model: keras.Model, images: np.ndarray, folder: Path) -> None:
    floats = ("saved_model", "tflite", "tflite_float16", "onnx")
    kb.export_model(model, folder, floats, name=name, verify=images[:8])
    quantized = kb.quantize(model, images)
    # Random weights are chaotic under int8, which is none of a benchmark's business.
    kb.export_model(quantized, folder, name=name, verify=images[:8])


def events(name: str, arguments: argparse.Namespace) -> list[Event]:
    model, images = network(name, arguments.size)
    found = [in_keras(name, model, images, arguments.size, max(arguments.rounds // 5, 3))]
    macs = networks.multiplications(model)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        exported(name, model, images, folder)
        found.append(served(name, folder, images[:1], model, arguments.rounds))
        for threads in arguments.threads:
            made = of_files(name, folder, images[:1], threads, arguments.rounds)
            peak = networks.matrix_product_peak(threads)
            made.facts = {
                "threads": threads,
                "macs": macs,
                "float32_peak_macs_per_second": peak,
                "part_of_float32_peak": {
                    one.name: macs / one.percentile(50) / peak for one in made.contenders
                },
            }
            found.append(made)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["ResNet50", "MobileNetV2"])
    parser.add_argument("--size", type=int, default=224, help="pixels per side")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--output", type=Path, help="write all figures to this JSON file")
    arguments = parser.parse_args()
    found: list[Any] = []
    for name in arguments.networks:
        for one in events(name, arguments):
            show(one)
            for title, part in one.facts.get("part_of_float32_peak", {}).items():
                print(f"{title}: {part:.0%} of the float32 peak")
            found.append(one)
    if arguments.output:
        write(found, arguments.output, "tensorflow", "ai-edge-litert", "onnxruntime")


if __name__ == "__main__":
    main()
