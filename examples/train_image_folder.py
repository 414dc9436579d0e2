"""Train ResNet-18 on a folder of images and export files that have been run and compared.

The folder holds one sub-folder of images per class:

    python examples/train_image_folder.py flowers --output exported --image-size 64 --epochs 20

Without a folder of one's own, `keras_bottleneck.data.digits()` gives a small real data set.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich import print

from keras_bottleneck import ResNet18, export_model
from keras_bottleneck.data import image_folder
from keras_bottleneck.training import Recipe


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    images = image_folder(
        args.folder, args.image_size, args.batch_size, augment=("flip", "crop"), cache=True
    )
    model = ResNet18(
        input_shape=images.preprocessing.input_shape,
        classes=len(images.class_names),
        stem="cifar",
    )
    recipe = Recipe(epochs=args.epochs, learning_rate=args.learning_rate)
    recipe.fit(model, images.train, images.validation)
    report = export_model(
        model,
        args.output,
        formats=("saved_model", "tflite", "onnx"),
        labels=images.class_names,
        preprocessing=images.preprocessing,
        verify=images.validation,
    )
    print(report)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="one sub-folder of images per class")
    parser.add_argument("--output", type=Path, default=Path("exported"), help="for the files")
    parser.add_argument("--image-size", type=int, default=64, help="pixels per side")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
