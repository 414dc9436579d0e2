"""Quantization-aware training: a small CIFAR-10 network as int8 files that lose no accuracy.

Trains a ResNet in float, quantizes it, and spends one more epoch on teaching the int8 network to
answer as the float one does. KERAS_BOTTLENECK_DATA may name a folder with `cifar10_9k.npz`
(x_train, y_train, x_test, y_test); otherwise Keras downloads CIFAR-10.

    python examples/qat_cifar.py --epochs 10 --output exported
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from rich import print

import keras_bottleneck as kb
from keras_bottleneck.quantization import QuantizationSchedule, distill
from keras_bottleneck.training import Recipe

LABELS = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
PREPROCESSING = kb.Preprocessing((32, 32), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def cifar10(limit: int | None) -> tuple[np.ndarray, ...]:
    """Images as the network takes them and labels, of the training and of the test set."""
    if folder := os.environ.get("KERAS_BOTTLENECK_DATA"):
        arrays = np.load(Path(folder) / "cifar10_9k.npz")
        pairs = [(arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in ("train", "test")]
    else:
        pairs = keras.datasets.cifar10.load_data()
    found = []
    for images, labels in pairs:
        pixels = images[:limit].astype("float32") * PREPROCESSING.scale
        normalized = (pixels - np.float32(PREPROCESSING.mean)) / np.float32(PREPROCESSING.std)
        found += [normalized, labels[:limit].reshape(-1).astype("int32")]
    return tuple(found)


def accuracy(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(model.predict(images, batch_size=250, verbose=0).argmax(-1) == labels))


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    keras.utils.set_random_seed(0)
    images, labels, *test = cifar10(args.images)

    model = kb.ResNet(
        "basic", (1, 1, 1), filters=(16, 32, 64), stem="cifar", classes=10, input_shape=(32, 32, 3)
    )
    Recipe(epochs=args.epochs, batch_size=64, learning_rate=3e-3).fit(model, (images, labels))
    print(f"float: {accuracy(model, *test):.2%}")

    quantized = kb.quantize(model, images[:500])
    print(f"int8, post-training: {accuracy(quantized, *test):.2%}")

    schedule = QuantizationSchedule(moving_epochs=1)
    distill(quantized, model).fit(
        images, batch_size=64, epochs=args.tuning_epochs, callbacks=[schedule]
    )
    print(f"int8, quantization-aware: {accuracy(quantized, *test):.2%}")

    report = kb.export_model(
        quantized,
        args.output,
        name="cifar",
        labels=LABELS,
        preprocessing=PREPROCESSING,
        verify=tuple(test),
    )
    print(report)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5, help="in float")
    parser.add_argument("--tuning-epochs", type=int, default=1, help="in int8")
    parser.add_argument("--images", type=int, help="use only so many images of each set")
    parser.add_argument("--output", type=Path, default=Path("exported"), help="for the files")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
