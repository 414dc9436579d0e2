"""A class for every pixel: a ResUNet that finds discs, squares and triangles, as int8 files.

The pictures are drawn here: shapes of random size, place and strong colour, one over the other, on
a textured background. Of what class a pixel is, its colour does not tell.
Prints the mean intersection over union of the classes on pictures that training has not seen, in
float and in int8, and draws some of them with what the int8 TFLite file says of each pixel.

    python examples/segmentation_shapes.py --output exported
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from rich import print

import keras_bottleneck as kb

SIDE = 48
LABELS = ["background", "disc", "square", "triangle"]
PREPROCESSING = kb.Preprocessing((SIDE, SIDE), mean=(0.5,) * 3, std=(0.25,) * 3)
SHOWN = 6


def shape(kind: int, rng: np.random.Generator) -> np.ndarray:
    """The pixels inside a shape, (SIDE, SIDE) booleans."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    radius = rng.uniform(7, 13)
    y, x = rows - rng.uniform(radius, SIDE - radius), columns - rng.uniform(radius, SIDE - radius)
    if kind == 1:
        return y**2 + x**2 < radius**2
    if kind == 2:
        return np.maximum(abs(y), abs(x)) < 0.85 * radius
    return (y < 0.7 * radius) & (abs(x) * 1.7 < y + radius)


def pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (count, SIDE, SIDE, 3), 0 to 255, and the class of each, (count, SIDE, SIDE)."""
    rng = np.random.default_rng(seed)
    # Coarse noise and fine.
    coarse = rng.uniform(70, 185, (count, 4, 4, 3)).repeat(SIDE // 4, 1).repeat(SIDE // 4, 2)
    pixels = coarse + rng.normal(0, 12, (count, SIDE, SIDE, 3))
    masks = np.zeros((count, SIDE, SIDE), np.int32)
    for image, mask in zip(pixels, masks, strict=True):
        for _ in range(rng.integers(1, 3)):
            kind = int(rng.integers(1, len(LABELS)))
            inside = shape(kind, rng)
            colour = rng.choice([0, 255], 3) + rng.uniform(-60, 60, 3)
            image[inside] = colour + rng.normal(0, 12, (inside.sum(), 3))
            mask[inside] = kind
    return np.clip(pixels, 0, 255).astype(np.uint8), masks


def mean_iou(probabilities: np.ndarray, masks: np.ndarray) -> float:
    metric = keras.metrics.MeanIoU(len(LABELS), sparse_y_pred=False)
    metric.update_state(masks, probabilities)
    return float(metric.result())


def draw(pixels: np.ndarray, masks: np.ndarray, found: np.ndarray, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = {"picture": pixels, "truth": masks, "int8": found}
    figure, axes = pyplot.subplots(3, SHOWN, figsize=(1.6 * SHOWN, 5))
    for line, (name, images) in zip(axes, rows.items(), strict=True):
        line[0].set_ylabel(name)
        for axis, image in zip(line, images, strict=False):
            axis.imshow(image, vmin=0, vmax=len(LABELS) - 1, interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    keras.utils.set_random_seed(0)
    pixels, masks = pictures(args.images, seed=0)
    test_pixels, test_masks = pictures(200, seed=1)
    images, test_images = map(PREPROCESSING.normalize, (pixels, test_pixels))

    backbone = kb.ResNet(
        "basic",
        (1, 1, 1),
        include_top=False,
        input_shape=PREPROCESSING.input_shape,
        filters=(16, 32, 64),
        preprocessing=PREPROCESSING,
    )
    model = kb.ResUNet(backbone, len(LABELS), filters=8, name="shapes")
    steps = args.epochs * -(-args.images // args.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=3e-3, warmup_steps=steps // 10
    )
    model.compile(keras.optimizers.Adam(rate), keras.losses.SparseCategoricalCrossentropy())
    model.fit(images, masks, batch_size=args.batch_size, epochs=args.epochs, verbose=2)
    print(f"mean IoU, float: {mean_iou(model.predict(test_images, verbose=0), test_masks):.3f}")

    quantized = kb.quantize(model, images[:200])
    report = kb.export_model(
        quantized, args.output, labels=LABELS, verify=(test_images, test_masks)
    )
    print(report)  # accuracy and agreement are those of pixels

    predictor = kb.runtime.load(report["tflite_int8"].path)
    found = predictor.probabilities(test_pixels)
    print(f"mean IoU, int8 TFLite: {mean_iou(found, test_masks):.3f}")
    if args.picture:
        draw(test_pixels, test_masks, found.argmax(-1), args.picture)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=6000, help="pictures to train on")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--output", type=Path, default=Path("exported"), help="for the files")
    parser.add_argument("--picture", type=Path, help="a .png to draw into; needs matplotlib")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
