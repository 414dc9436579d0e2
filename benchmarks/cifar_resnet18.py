"""Accuracy and time of ResNet18 (CIFAR stem) trained by the recipe on CIFAR-10 images.

Reads `cifar10_9k.npz` (x_train, y_train, x_test, y_test) from the folder that the environment
variable KERAS_BOTTLENECK_DATA names.

    KERAS_BOTTLENECK_DATA=path/to/data python benchmarks/cifar_resnet18.py --epochs 5
"""

import argparse
import os
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import keras_bottleneck as kb
from keras_bottleneck.training import Recipe

LABELS = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
PREPROCESSING = kb.Preprocessing((32, 32), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def batches(images: np.ndarray, labels: np.ndarray, size: int, augment: bool) -> tf.data.Dataset:
    dataset = tf.data.Dataset.from_tensor_slices((images, labels.astype("int32")))
    if augment:
        dataset = dataset.shuffle(len(images), seed=0)
    dataset = dataset.batch(size)
    if augment:
        flip = keras.layers.RandomFlip("horizontal", seed=0)
        shift = keras.layers.RandomTranslation(0.125, 0.125, fill_mode="reflect", seed=1)
        dataset = dataset.map(lambda x, y: (shift(flip(tf.cast(x, tf.float32), training=True)), y))
    scale, mean, std = PREPROCESSING.scale, PREPROCESSING.mean, PREPROCESSING.std
    dataset = dataset.map(lambda x, y: ((tf.cast(x, tf.float32) * scale - mean) / std, y))
    return dataset.prefetch(tf.data.AUTOTUNE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("exported"))
    parser.add_argument("--mixed-precision", default=None)
    arguments = parser.parse_args()

    keras.utils.set_random_seed(0)
    data = np.load(Path(os.environ["KERAS_BOTTLENECK_DATA"]) / "cifar10_9k.npz")
    recipe = Recipe(
        epochs=arguments.epochs, batch_size=64, mixed_precision=arguments.mixed_precision
    )
    train = batches(data["x_train"], data["y_train"], recipe.batch_size, augment=True)
    test = batches(data["x_test"], data["y_test"], recipe.batch_size, augment=False)
    model = kb.ResNet18(input_shape=(32, 32, 3), classes=10, stem="cifar")

    start = time.perf_counter()
    history = recipe.fit(model, train, test)
    seconds = time.perf_counter() - start
    accuracy = history.history["val_accuracy"][-1]
    print(f"{arguments.epochs} epochs: test accuracy {accuracy:.1%}, {seconds:.0f} s")
    report = kb.export_model(
        model, arguments.out, labels=LABELS, preprocessing=PREPROCESSING, verify=test
    )
    print(report)


if __name__ == "__main__":
    main()
