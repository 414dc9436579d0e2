"""A feature pyramid with one head for all its levels: finds and reads digits of three sizes.

Each picture holds four scans of handwritten digits, 8, 16 or 32 pixels large. Every place of every
level of the pyramid says which digit of that level's size is centred on it, if any. Prints how many
digits are found and read right on pictures of other scans, in float and in int8.

    python examples/feature_pyramid.py --output exported
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from rich import print

import keras_bottleneck as kb

SIDE = 64
# A level's stride is half the size of its digits.
STRIDES = (4, 8, 16)
LABELS = ["nothing", *map(str, range(10))]
# Most places show nothing: those with a digit count for more in training.
DIGIT_WEIGHT = 20.0


def pictures(
    scans: np.ndarray, digits: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, SIDE, SIDE, 1), and the index into LABELS of each place of all levels."""
    images = np.zeros((count, SIDE, SIDE, 1), np.float32)
    maps = [np.zeros((count, SIDE // stride, SIDE // stride), np.int32) for stride in STRIDES]
    quarter = SIDE // 2
    for index in range(count):
        for corner in np.ndindex(2, 2):
            level, scan = rng.integers(len(STRIDES)), rng.integers(len(scans))
            stride = STRIDES[level]
            size = 2 * stride
            place = np.multiply(corner, quarter) + rng.integers(0, quarter - size + 1, 2)
            row, column = place
            images[index, row : row + size, column : column + size, 0] = np.kron(
                scans[scan], np.ones((size // 8, size // 8))
            )
            centre = (place + stride) // stride
            maps[level][index, *centre] = 1 + digits[scan]
    images += rng.normal(0, 0.05, images.shape)
    return images, np.concatenate([one.reshape(count, -1) for one in maps], axis=1)


def detector() -> keras.Model:
    backbone = kb.ResNet(
        "basic", (1, 1, 1), include_top=False, input_shape=(SIDE, SIDE, 1), filters=(16, 32, 64)
    )
    pyramid = kb.FPN(backbone, filters=32, strides=STRIDES)
    hidden = kb.layers.ConvNormAct(32, 3, name="head_hidden")
    head = keras.layers.Conv2D(len(LABELS), 1, name="head")
    found = [keras.layers.Reshape((-1, len(LABELS)))(head(hidden(x))) for x in pyramid.outputs]
    found = keras.layers.Concatenate(axis=1)(found)
    return keras.Model(pyramid.input, keras.layers.Softmax()(found), name="digits")


def judge(name: str, probabilities: np.ndarray, labels: np.ndarray) -> None:
    found = probabilities.argmax(-1)
    right = np.mean(found[labels > 0] == labels[labels > 0])
    false = np.mean(np.sum((found > 0) & (labels == 0), axis=1))
    print(f"{name}: {right:.1%} of the digits, {false:.2f} false ones in a picture")


def main(argv: Sequence[str] | None = None) -> None:
    from sklearn.datasets import load_digits

    args = parse(argv)
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    scans = load_digits()
    values, digits = scans.images / 16, scans.target
    images, labels = pictures(values[:1400], digits[:1400], args.images, rng)
    test_images, test_labels = pictures(values[1400:], digits[1400:], 300, rng)

    model = detector()
    model.compile(keras.optimizers.Adam(3e-3), keras.losses.SparseCategoricalCrossentropy())
    weights = np.where(labels > 0, DIGIT_WEIGHT, 1.0)
    model.fit(images, labels, 32, args.epochs, sample_weight=weights, verbose=2)
    judge("float", model.predict(test_images, verbose=0), test_labels)

    quantized = kb.quantize(model, images[:200])
    report = kb.export_model(
        quantized, args.output, labels=LABELS, verify=(test_images, test_labels)
    )
    print(report)  # accuracy and agreement are those of places
    predictor = kb.runtime.load(report["tflite_int8"].path)
    judge("int8 TFLite", predictor.run(test_images), test_labels)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000, help="pictures to train on")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--output", type=Path, default=Path("exported"), help="for the files")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
