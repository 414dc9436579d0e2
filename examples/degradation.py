"""Deeper and worse, unless it is residual: figure 6 of He et al. 2015, on CIFAR-10.

Trains networks of 20 and 56 layers without shortcuts ("plain") and with them, writes a table of
each epoch into a .csv file per network, and draws the training error of all four. Networks whose
file is there are not trained again. KERAS_BOTTLENECK_DATA may name a folder with `cifar10_9k.npz`
(x_train, y_train, x_test, y_test); otherwise Keras downloads CIFAR-10.

    python examples/degradation.py --output degradation

On a laptop, with a quarter of the pixels and a tenth of the epochs:

    python examples/degradation.py --image-size 16 --epochs 15 --batch-size 64 --learning-rate 0.05
"""

import argparse
import csv
import os
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from rich import print

import keras_bottleneck as kb
from keras_bottleneck.training import Recipe

SHORTCUTS = {"plain": "none", "resnet": "pad"}
NETWORKS = ("plain-20", "plain-56", "resnet-20", "resnet-56")
STYLES = {"plain": "--", "resnet": "-", "20": "tab:blue", "56": "tab:red"}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Augmented(keras.utils.PyDataset):
    """Batches of images, each shifted by up to an eighth of its side, half of them mirrored."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, batch_size: int) -> None:
        super().__init__()
        self.side = images.shape[1]
        self.shift = self.side // 8
        edges = (self.shift, self.shift)
        self.padded = np.pad(images, ((0, 0), edges, edges, (0, 0)))
        self.labels = labels
        self.batch_size = batch_size
        self.rng = np.random.default_rng(0)
        self.on_epoch_end()

    def __len__(self) -> int:
        return len(self.labels) // self.batch_size

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self.order[index * self.batch_size :][: self.batch_size]
        images = np.empty((len(chosen), self.side, self.side, 3), np.float32)
        shifts = self.rng.integers(0, 2 * self.shift + 1, (len(chosen), 2))
        for image, padded, (y, x) in zip(images, self.padded[chosen], shifts, strict=True):
            window = padded[y : y + self.side, x : x + self.side]
            image[:] = window[:, :: self.rng.choice((1, -1))]
        return images, self.labels[chosen]

    def on_epoch_end(self) -> None:
        self.order = self.rng.permutation(len(self.labels))


def cifar10(limit: int | None, side: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Normalized images and their labels, of the training and of the test set."""
    if folder := os.environ.get("KERAS_BOTTLENECK_DATA"):
        arrays = np.load(Path(folder) / "cifar10_9k.npz")
        pairs = [(arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in ("train", "test")]
    else:
        pairs = keras.datasets.cifar10.load_data()
    preprocessing = kb.Preprocessing((side, side), mean=MEAN, std=STD)
    factor = 32 // side
    found = []
    for images, labels in pairs:
        # The mean of each square of pixels.
        squares = images[:limit].reshape(-1, side, factor, side, factor, 3)
        pixels = squares.mean((2, 4), dtype="float32")
        found.append((preprocessing.normalize(pixels), labels[:limit].reshape(-1).astype("int32")))
    return found


def train(name: str, args: argparse.Namespace, log: Path) -> None:
    """Train the network that is called `name`; `log` is written when it has been."""
    keras.utils.set_random_seed(0)
    (images, labels), test = cifar10(args.images, args.image_size)
    kind, depth = name.split("-")
    model = kb.CIFARResNet(
        int(depth),
        input_shape=images.shape[1:],
        shortcut=SHORTCUTS[kind],
        name=f"{kind}{depth}",
    )
    recipe = Recipe(
        epochs=args.epochs,
        optimizer="sgd",
        learning_rate=args.learning_rate,
        weight_decay=1e-4,
        label_smoothing=0.0,
    )
    unfinished = log.with_suffix(".part")
    batches = Augmented(images, labels, args.batch_size)
    print(f"{name}: {model.count_params():,} parameters, {args.epochs * len(batches):,} steps")
    recipe.fit(model, batches, test, [keras.callbacks.CSVLogger(unfinished)])
    unfinished.replace(log)


def errors(log: Path, column: str) -> list[float]:
    """Of each epoch, in percent."""
    with log.open(newline="") as lines:
        return [100 - 100 * float(row[column]) for row in csv.DictReader(lines)]


def draw(logs: dict[str, Path], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 4), sharey=True)
    columns = {"training error": "accuracy", "test error": "val_accuracy"}
    for axis, (title, column) in zip(axes, columns.items(), strict=True):
        for name, log in logs.items():
            kind, depth = name.split("-")
            values = errors(log, column)
            epochs = range(1, len(values) + 1)
            axis.plot(epochs, values, STYLES[kind], color=STYLES[depth], label=name)
        axis.set_title(title)
        axis.set_xlabel("epoch")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("%")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    args.output.mkdir(parents=True, exist_ok=True)
    logs = {name: args.output / f"{name}.csv" for name in args.networks}
    for name, log in logs.items():
        if not log.exists():
            train(name, args, log)
        training, test = errors(log, "accuracy")[-1], errors(log, "val_accuracy")[-1]
        print(f"{name}: training error {training:.1f}%, test error {test:.1f}%")
    draw(logs, args.output / "degradation.png")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--images", type=int, help="how many to train and to test on; default all")
    parser.add_argument("--image-size", type=int, default=32, choices=(32, 16))
    parser.add_argument("--epochs", type=int, default=160)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--output", type=Path, default=Path("degradation"))
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
