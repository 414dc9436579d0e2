"""Fine-tune MobileNetV2 on a folder of images and export files that have been run and compared.

The folder holds one sub-folder of images per class:

    python examples/finetune_image_folder.py flowers --weights mobilenet_v2.weights.h5

The weights are those of a network for other classes, its head is left out. Without `--weights`,
the network begins with random ones, which fine-tuning is the wrong recipe for.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich import print

import keras_bottleneck as kb
from keras_bottleneck.data import image_folder
from keras_bottleneck.training import FineTune, finetune

# keras.applications' weights expect its epsilon, and values from -1 to 1.
EPSILON = 1e-3


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    preprocessing = kb.Preprocessing(args.image_size, scale=1 / 127.5, mean=(1.0,))
    images = image_folder(
        args.folder,
        batch_size=args.batch_size,
        augment=("flip", "crop"),
        preprocessing=preprocessing,
        cache=True,
    )
    model = kb.MobileNetV2(
        preprocessing.input_shape,
        classes=len(images.class_names),
        epsilon=EPSILON,
        preprocessing=preprocessing,
    )
    if args.weights:
        kb.weights.load(model, args.weights, skip_head=True)

    recipe = FineTune(
        epochs=args.epochs,
        head_epochs=args.head_epochs,
        stages=args.stages,
        learning_rate=args.learning_rate,
    )
    finetune(model, images.train, images.validation, recipe)
    report = kb.export_model(
        model,
        args.output,
        formats=("saved_model", "tflite", "onnx"),
        labels=images.class_names,
        verify=images.validation,
    )
    print(report)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="one sub-folder of images per class")
    parser.add_argument("--weights", help="what weights.load takes: a file, of keras.applications")
    parser.add_argument("--output", type=Path, default=Path("exported"), help="for the files")
    parser.add_argument("--image-size", type=int, default=96, help="pixels per side")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=10, help="of the last phase")
    parser.add_argument("--head-epochs", type=int, default=2, help="of the head alone")
    parser.add_argument("--stages", type=int, default=4, help="how many to train, from the top")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
