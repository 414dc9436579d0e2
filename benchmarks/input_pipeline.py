"""Images per second from a folder of JPEG files: this package against Keras's own reader.

One turn is one epoch over the files, decoded, resized, batched and (ours) normalized; Keras's
`image_dataset_from_directory` resizes without antialiasing and with the faster, less exact inverse
transform, and leaves shuffling on as ours does. The last row is a training step of the network
that is to be fed, for scale.

    python benchmarks/input_pipeline.py --folder path/to/folder_of_classes
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import keras
import networks
import numpy as np
from PIL import Image
from training import keras_step
from turns import Contender, Event, compete, show, write

from keras_bottleneck import data

PHOTO = (375, 500)  # ImageNet's usual size


def made_up(folder: Path, count: int) -> Path:
    """JPEG files of smooth noise in two classes, as hard to decode as photographs."""
    generator = np.random.default_rng(0)
    for number in range(count):
        coarse = generator.uniform(0, 255, (PHOTO[0] // 8, PHOTO[1] // 8, 3)).astype(np.uint8)
        picture = Image.fromarray(coarse).resize(PHOTO[::-1], Image.Resampling.BICUBIC)
        target = folder / str(number % 2) / f"{number}.jpg"
        target.parent.mkdir(exist_ok=True)
        picture.save(target, quality=90)
    return folder


def epoch(dataset: Any) -> None:
    for _ in dataset:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="one sub-folder per class; else made up")
    parser.add_argument("--images", type=int, default=256, help="how many to make up")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--network", default="ResNet50", help="whose step is to be fed")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, help="write all figures to this JSON file")
    arguments = parser.parse_args()
    size, batch = arguments.size, arguments.batch
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or made_up(Path(scratch), arguments.images)
        options: dict[str, Any] = {"validation_split": 0.0, "subset": "train"}
        plain = data.image_folder(folder, size, batch, **options)
        augmented = data.image_folder(folder, size, batch, augment=("flip", "crop"), **options)
        cached = data.image_folder(folder, size, batch, cache=True, **options)
        peer = keras.utils.image_dataset_from_directory(
            folder, image_size=(size, size), batch_size=batch, verbose=False
        )
        count = plain.train_size
        contenders = [
            Contender("image_folder", lambda: epoch(plain.train), count),
            Contender("image_folder, flip and crop", lambda: epoch(augmented.train), count),
            Contender("image_folder, cached", lambda: epoch(cached.train), count),
            Contender("image_dataset_from_directory", lambda: epoch(peer), count),
        ]
        step = keras_step(networks.ours, arguments.network, size, "bfloat16", batch)
        contenders.append(Contender(f"{arguments.network} step, bfloat16", step, batch))
        compete(contenders, arguments.rounds)
    title = f"{count} JPEG files to batches of {batch} at {size} px"
    found = Event(title, contenders)
    show(found)
    if arguments.output:
        write([found], arguments.output, "tensorflow", "keras", "pillow")


if __name__ == "__main__":
    main()
