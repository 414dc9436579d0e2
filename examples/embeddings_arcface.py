"""Embeddings that tell apart what was never seen: ArcFace against softmax, as int8 files.

The classes are the numbers 00 to 99, each picture two scans of handwritten digits side by side.
The same network is trained on 70 of them with a softmax and with ArcFace. Then it is asked of
pairs of pictures, made of scans that training has not seen, whether both show the same number:
one of the other 30. The threshold of the cosine is chosen on half of the pictures and judged on
the other half, both ways. Prints the accuracy for each seed, which draws the numbers, the scans and
the weights, and exports the embedding of the last one.

    python examples/embeddings_arcface.py --output exported
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from rich import print

import keras_bottleneck as kb
from keras_bottleneck.layers import ArcFace

NUMBERS, TRAINED = 100, 70
FEATURES = 32
PICTURES, TEST_PICTURES = 60, 40  # of each number


def pictures(numbers: np.ndarray, scans: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Numbers (N,) from 0 to 99 as images (N, 8, 16, 1); `scans` are those of each digit."""
    halves = [
        np.stack([scans[digit][rng.integers(len(scans[digit]))] for digit in place])
        for place in (numbers // 10, numbers % 10)
    ]
    return np.concatenate(halves, axis=2)[..., np.newaxis]


class Task:
    """Pictures of numbers to train on, and of other numbers to verify."""

    def __init__(self, seed: int) -> None:
        from sklearn.datasets import load_digits

        rng = np.random.default_rng(seed)
        digits = load_digits()
        images = digits.images.astype("float32") / 16
        order = rng.permutation(len(images))
        numbers = rng.permutation(NUMBERS)
        parts = []
        for scans, chosen, count in (
            (order[:1200], numbers[:TRAINED], PICTURES),
            (order[1200:], numbers[TRAINED:], TEST_PICTURES),
        ):
            by_digit = [images[scans][digits.target[scans] == digit] for digit in range(10)]
            labels = np.tile(np.arange(len(chosen), dtype="int32"), count)
            parts += [pictures(chosen[labels], by_digit, rng), labels]
        self.images, self.labels, self.test_images, self.test_labels = parts


def network() -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """An image and its embedding."""
    backbone = kb.ResNet(
        "basic",
        (1, 1),
        include_top=False,
        input_shape=(8, 16, 1),
        filters=(8, 16),
        stem="cifar",
    )
    x = keras.layers.Flatten()(backbone.output)
    x = keras.layers.Dense(FEATURES, use_bias=False)(x)
    return backbone.input, kb.layers.BatchNormalization(name="features")(x)


def trained_with_softmax(task: Task, epochs: int) -> keras.Model:
    image, embedding = network()
    model = keras.Model(image, keras.layers.Dense(TRAINED)(embedding))
    fit(model, task.images, task.labels, epochs)
    return keras.Model(image, keras.layers.UnitNormalization()(embedding))


def trained_with_arcface(task: Task, epochs: int) -> keras.Model:
    image, embedding = network()
    label = keras.Input((), dtype="int32", name="label")
    scores = ArcFace(TRAINED, margin=0.5, scale=16.0)([embedding, label])
    model = keras.Model([image, label], scores, name="numbers")
    fit(model, [task.images, task.labels], task.labels, epochs)
    return kb.embedding_model(model)


def fit(model: keras.Model, inputs: object, labels: np.ndarray, epochs: int) -> None:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss)
    model.fit(inputs, labels, batch_size=64, epochs=epochs, verbose=0)


def verification_accuracy(embeddings: np.ndarray, labels: np.ndarray) -> float:
    """The part of pairs that are rightly called same or different, half of them the same."""
    rng = np.random.default_rng(0)
    order = rng.permutation(len(labels))
    halves = [pairs(embeddings[half], labels[half], rng) for half in (order[::2], order[1::2])]
    accuracies = [
        np.mean((cosines >= best_threshold(*chosen_on)) == same)
        for chosen_on, (cosines, same) in (halves, halves[::-1])
    ]
    return float(np.mean(accuracies))


def pairs(
    embeddings: np.ndarray, labels: np.ndarray, rng: np.random.Generator, count: int = 4000
) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of `count` pairs of the same number and as many of different ones; which is which."""
    drawn = rng.integers(0, len(labels), (2, 100 * count))
    drawn = drawn[:, drawn[0] != drawn[1]]
    equal = labels[drawn[0]] == labels[drawn[1]]
    one, other = np.concatenate([drawn[:, equal][:, :count], drawn[:, ~equal][:, :count]], axis=1)
    same = np.arange(len(one)) < count
    return np.sum(embeddings[one] * embeddings[other], axis=1), same


def best_threshold(cosines: np.ndarray, same: np.ndarray) -> float:
    order = np.argsort(-cosines)
    right = np.cumsum(np.where(same[order], 1, -1))
    return float(cosines[order][right.argmax()])


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    found = []
    for seed in range(args.seeds):
        task = Task(seed)
        accuracies = []
        for train in (trained_with_softmax, trained_with_arcface):
            keras.utils.set_random_seed(seed)
            model = train(task, args.epochs)
            embeddings = model.predict(task.test_images, batch_size=256, verbose=0)
            accuracies.append(verification_accuracy(embeddings, task.test_labels))
        found.append(accuracies)
        print(f"seed {seed}: softmax {accuracies[0]:.2%}, ArcFace {accuracies[1]:.2%}")
    softmax, arcface = np.mean(found, axis=0)
    print(f"mean of {args.seeds}: softmax {softmax:.2%}, ArcFace {arcface:.2%}")

    quantized = kb.quantize(model, task.images[:500])
    report = kb.export_model(quantized, args.output, verify=task.test_images)
    print(report)
    embeddings = kb.runtime.load(report["tflite_int8"].path).run(task.test_images)
    print(f"int8 TFLite: ArcFace {verification_accuracy(embeddings, task.test_labels):.2%}")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="how many times to train both")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--output", type=Path, default=Path("exported"), help="for the files")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
