"""Fine-tuning from ImageNet weights against training from scratch, in the same number of steps.

MobileNetV2 on 500 CIFAR-10 images (50 of each class), enlarged to 96 pixels. Both runs see the same
images in batches of the same size for the same number of steps, without augmentation and without
choosing the best epoch, and are judged on the same test images. Scratch trains everything at once
with `Recipe`; fine-tuning goes from the head down with `finetune`.

Reads `cifar10_9k.npz` (x_train, y_train, x_test, y_test) and
`mobilenet_v2_1.0_224_imagenet.weights.h5` (keras.applications) from the folder that the
environment variable KERAS_BOTTLENECK_DATA names.

    KERAS_BOTTLENECK_DATA=path/to/data python benchmarks/finetune_cifar.py
"""

import argparse
import os
import time
from pathlib import Path

import keras
import numpy as np
from rich import print
from rich.table import Table

import keras_bottleneck as kb
from keras_bottleneck import resampling
from keras_bottleneck.training import FineTune, Recipe, finetune

CLASSES = 10
# What the weights were trained with: values from -1 to 1.
SCALE, MEAN = 1 / 127.5, 1.0


def subset(data: Path, part: str, count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `count` images of a set, as many of each class, enlarged and scaled."""
    arrays = np.load(data / "cifar10_9k.npz")
    images, labels = arrays[f"x_{part}"], arrays[f"y_{part}"].reshape(-1).astype("int32")
    chosen = np.concatenate(
        [np.flatnonzero(labels == one)[: count // CLASSES] for one in range(CLASSES)]
    )
    enlarged = [resampling.resize(images[index].astype("float32"), size, size) for index in chosen]
    return np.stack(enlarged) * np.float32(SCALE) - np.float32(MEAN), labels[chosen]


def network(size: int, weights: Path | None) -> keras.Model:
    """MobileNetV2 for 10 classes; with weights, those of everything but the head."""
    model = kb.MobileNetV2((size, size, 3), classes=CLASSES, epsilon=1e-3)
    if weights is not None:
        kb.weights.load(model, weights, skip_head=True)
    return model


def accuracy(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(model.predict(images, verbose=0).argmax(-1) == labels))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--test-images", type=int, default=2000)
    parser.add_argument("--size", type=int, default=96, help="pixels per side")
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=6, help="of the last phase")
    parser.add_argument("--stages", type=int, help="how many to fine-tune; all by default")
    parser.add_argument("--stage-epochs", type=int, default=0)
    parser.add_argument("--batch-norm", default="frozen")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    arguments = parser.parse_args()

    data = Path(os.environ["KERAS_BOTTLENECK_DATA"])
    train = subset(data, "train", arguments.images, arguments.size)
    test = subset(data, "test", arguments.test_images, arguments.size)
    shared = {"batch_size": arguments.batch_size, "learning_rate": arguments.learning_rate}
    tuning = FineTune(
        epochs=arguments.epochs,
        stages=arguments.stages,
        stage_epochs=arguments.stage_epochs,
        batch_norm=arguments.batch_norm,
        **shared,
    )
    table = Table("run", "steps", "test accuracy", "seconds")
    found = {}
    for name in ("from scratch", "fine-tuned"):
        keras.utils.set_random_seed(0)
        tuned = name == "fine-tuned"
        weights = data / "mobilenet_v2_1.0_224_imagenet.weights.h5" if tuned else None
        model = network(arguments.size, weights)
        start = time.perf_counter()
        if tuned:
            finetune(model, train, recipe=tuning)
        else:
            phases = tuning.phases(len(kb.training.parts(model).stages))
            Recipe(epochs=sum(epochs for _, epochs in phases), **shared).fit(model, train)
            # In so short a run the moving averages are late, which would be held against it.
            kb.training.recalibrate_batch_norm(model, train, arguments.batch_size)
        seconds = time.perf_counter() - start
        found[name] = accuracy(model, *test)
        epochs = sum(epochs for _, epochs in tuning.phases(len(kb.training.parts(model).stages)))
        steps = epochs * -(-len(train[1]) // arguments.batch_size)
        table.add_row(name, str(steps), f"{found[name]:.1%}", f"{seconds:.0f}")
    print(table)
    print(f"gain: {100 * (found['fine-tuned'] - found['from scratch']):.1f} points")


if __name__ == "__main__":
    main()
