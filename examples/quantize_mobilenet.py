"""Quantize a MobileNetV2 to int8, see which layers lose most, and ship it.

    python examples/quantize_mobilenet.py PHOTOS --weights mobilenet_v2.weights.h5

PHOTOS is a folder of images, at best a hundred or more like those that the model will see. Without
`--weights`, Keras downloads its ImageNet weights.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from PIL import Image

import keras_bottleneck as kb
from keras_bottleneck import quantization

# Short side to 256 pixels, the middle 224 x 224, values from -1 to 1.
PREPROCESSING = kb.Preprocessing(
    (224, 224), resize="crop", crop_fraction=224 / 256, mean=(0.5,), std=(0.5,)
)


def photographs(folder: Path) -> np.ndarray:
    """All images of a folder as model inputs, (N, 224, 224, 3)."""
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg")]
    pictures = (np.asarray(Image.open(path).convert("RGB")) for path in paths)
    return np.stack([PREPROCESSING(picture) for picture in pictures])


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments, quantize, export."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--rounding", choices=("nearest", "adaptive"), default="nearest")
    parser.add_argument("--out", type=Path, default=Path("quantized"))
    arguments = parser.parse_args(argv)

    images = photographs(arguments.photos)
    calibration, test = images[::2], images[1::2]
    model = keras.applications.MobileNetV2(weights=None if arguments.weights else "imagenet")
    if arguments.weights:
        model.load_weights(arguments.weights)

    sensitivity = quantization.sensitivity(model, calibration)
    print(sensitivity)

    quantized = kb.quantize(model, calibration, rounding=arguments.rounding)
    print(quantized.quantization_report)

    report = kb.export_model(
        quantized,
        arguments.out,
        name="mobilenet_v2",
        preprocessing=PREPROCESSING,
        verify=test,
    )
    print(report)
    print("Sensitivity:", sensitivity.plot(arguments.out / "sensitivity.png"))
    for artifact in report.artifacts:
        print(kb.audit(artifact.path))


if __name__ == "__main__":
    main()
