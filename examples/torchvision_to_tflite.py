"""Take a trained PyTorch ResNet-50 to a verified int8 .tflite file.

    python examples/torchvision_to_tflite.py PHOTOS --weights resnet50-0676ba61.pth

PHOTOS is a folder of images, at best a hundred or more like those that the model will see. Without
`--weights`, torchvision's are downloaded. A file of one's own is read where PyTorch is installed,
or as .safetensors; what its tensors do not tell is said by the arguments of the builder.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

import keras_bottleneck as kb

# How torchvision prepares images: short side to 256 pixels, the middle 224 x 224.
PREPROCESSING = kb.Preprocessing(
    (224, 224),
    resize="crop",
    crop_fraction=224 / 256,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)


def network(builder: str, weights: Path | None, classes: int) -> keras.Model:
    """The network with its weights, as torchvision has it."""
    build = getattr(kb, builder)
    if weights is None:
        return build(weights="torchvision_imagenet")
    model = build(
        weights=weights, classes=classes, stride_on="3x3", padding="symmetric", epsilon=1e-5
    )
    if model.preprocessing is None:  # a file that torchvision has published brings its own
        model.preprocessing = PREPROCESSING
    return model


def photographs(folder: Path, preprocessing: kb.Preprocessing) -> np.ndarray:
    """All images of a folder as model inputs, (N, height, width, 3)."""
    endings = (".jpg", ".jpeg", ".png")
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in endings]
    return np.stack([preprocessing(path) for path in paths])


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments, load, quantize, export."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--model", choices=("ResNet18", "ResNet34", "ResNet50"), default="ResNet50")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("exported"))
    arguments = parser.parse_args(argv)

    model = network(arguments.model, arguments.weights, arguments.classes)
    images = photographs(arguments.photos, kb.model_preprocessing(model))
    calibration, test = images[::2], images[1::2]

    quantized = kb.quantize(model, calibration)
    print(quantized.quantization_report)
    report = kb.export_model(quantized, arguments.out, ["tflite_int8"], verify=test)
    print(report)
    print(kb.audit(report.artifacts[0].path))


if __name__ == "__main__":
    main()
