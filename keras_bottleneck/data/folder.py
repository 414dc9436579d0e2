"""A folder of images: sub-folders for the classes, parts of such, or a table of what each is."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from keras_bottleneck.checks import boolean, integer, number, one_of, reject, size
from keras_bottleneck.data.decoding import Scan
from keras_bottleneck.data.duplicates import warn_of_duplicates
from keras_bottleneck.data.images import ImageData, load_tensorflow
from keras_bottleneck.data.listing import Listing, listed
from keras_bottleneck.data.parts import PARTS, TEST, TRAIN, VALIDATION
from keras_bottleneck.data.pipeline import Batcher, load_file
from keras_bottleneck.data.readable import readable
from keras_bottleneck.data.splitting import rank, stratified_split
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.tasks import CLASSIFICATION, checked_task

SUBSETS = ("both", TRAIN, VALIDATION, TEST)


def image_folder(
    path: str | os.PathLike[str],
    image_size: int | tuple[int, int] | None = None,
    batch_size: int = 32,
    *,
    validation_split: float = 0.2,
    subset: str = "both",
    seed: int = 0,
    augment: Any = (),
    channels: int | None = None,
    preprocessing: Preprocessing | None = None,
    on_corrupt: str = "skip",
    cache: bool = False,
    labels: str | os.PathLike[str] | None = None,
    validation: str | os.PathLike[str] | None = None,
    task: str | None = None,
) -> ImageData:
    """Batches from the JPEG, PNG, BMP, GIF and WebP files of a folder.

    The folder has one of these forms:

    - A sub-folder for each class; images may lie deeper in it.
    - Folders of the parts, such as `train`, `val` and `test` (or training, validation, valid,
      testing; in any case), each with a sub-folder for each class or a table of its own. Without
      one for validation, `train` is split.
    - A table, `labels.csv`, with a column `file` and one of these: a column `class` (or `label`); a
      column of 0 and 1 for each of several labels; columns of numbers to predict. A column `part`
      may say train, validation or test.

    Every file is decoded once before anything else, with the decoder of the training, so that a
    broken file is reported now. The split is stratified by class, and depends on seed and file
    names only. Files are read again whenever their turn comes, so that memory does not grow with
    their sizes; one that has turned unreadable by then is replaced by the image behind it, and a
    warning at the end of the pass says how many there were. Photographs are turned as their EXIF
    orientation says. Hidden files and folders (".DS_Store"), and files that are no images by name
    and content, are ignored.

    Args:
        path: The folder.
        image_size: (height, width) of the model input in pixels; one integer stands for both;
            None for that of `preprocessing`, or (224, 224).
        batch_size: Images per batch; the last batch of an epoch may be smaller.
        validation_split: Share of every class that validates, in [0, 1); every class keeps an
            image to train with. Where the folder has no validation part.
        subset: "both" for all parts, or "train", "validation" or "test"; parts that are not wanted
            are None.
        seed: Of the split, the order and the augmentation. The same seed gives the same batches.
        augment: What happens to training batches of float32 pixels in 0..255, in this order:
            "flip" (left-right), "crop" (shift by up to 1/8), "resized_crop" (a quarter of the image
            at least), "rotation" (by up to 15 degrees), "jitter" (of brightness, contrast,
            saturation, hue), "rand_augment" (Cubuk et al. 2019), "augmix" (Hendrycks et al. 2020),
            "erasing" (of a rectangle in half of the images, Zhong et al. 2017), "mixup" (Zhang et
            al. 2017) or "cutmix" (Yun et al. 2019), with which labels become float32 (batch,
            classes) in all parts; Keras layers, or functions from batch to batch. "jitter" and
            "rand_augment" are for images of three channels.
        channels: 1 (grey) or 3; None for that of `preprocessing`, or 3.
        preprocessing: Resizing, scale, mean and std; by default pixels are stretched to
            `image_size` and divided by 255.
        on_corrupt: "skip" leaves unreadable files out, warns once and lists them in `skipped`;
            "error" raises at the first.
        cache: Keep decoded, resized images in memory (4 bytes per value). The first epoch then
            begins when all images are decoded.
        labels: A CSV file with the table; None for the folder's labels.csv, where there is one.
        validation: Another folder, whose images validate; None for the split, or the part.
        task: What a table's columns are: "classification", "multi-label" or "regression"; None
            for what they look like.

    Returns:
        Batches of float32 (batch, height, width, channels) images and int32 (batch,) labels; with
        several labels of an image, or numbers, float32 (batch, columns).

    Raises:
        ImportError: If TensorFlow is not installed.
        ValueError: If an argument is out of range; the folder is missing, has fewer than two
            classes, a class without a readable image, or parts with different classes; the table
            lacks a column or has a cell that does not fit it; or a file is unreadable and
            `on_corrupt` is "error".

    Example:
        >>> data = image_folder("flowers", image_size=96, augment=["flip"])  # doctest: +SKIP
        >>> model.fit(data.train, validation_data=data.validation)  # doctest: +SKIP
    """
    preprocessing = _preprocessing(preprocessing, image_size, channels)
    batch_size = integer("batch_size", batch_size)
    validation_split = number("validation_split", validation_split, maximum=1.0, below=True)
    if one_of("subset", subset, SUBSETS) == VALIDATION:
        number("validation_split", validation_split, above=True)
    seed = integer("seed", seed, minimum=0)
    one_of("on_corrupt", on_corrupt, ("skip", "error"))
    boolean("cache", cache)
    checked_task(task)
    load_tensorflow()
    from keras_bottleneck.data.augmentation import Augmenter  # imports keras: after TensorFlow

    augmenter = Augmenter(augment, preprocessing.channels)
    listing, scans, skipped = readable(listed(path, labels, validation, task), on_corrupt)
    parts = _split(listing, validation_split, seed)
    if subset == TEST and not parts[TEST]:
        raise reject("subset", subset, f"one of {', '.join(SUBSETS[:-1])}: `path` has no test part")
    of_part = {part: [listing.files[i] for i in indices] for part, indices in parts.items()}
    warn_of_duplicates(listing.root, of_part[TRAIN], of_part[VALIDATION] + of_part[TEST])

    classes = len(listing.names) if listing.task == CLASSIFICATION else None
    batcher = Batcher(preprocessing, batch_size, classes, seed, augmenter, cache)
    load = load_file(preprocessing)

    def samples(part: str) -> Any:
        def geometry(scan: Scan) -> tuple[int, ...]:
            assert scan.size is not None
            size, corner = preprocessing.geometry(*scan.size)
            return *size, *corner, scan.orientation

        return load_tensorflow().data.Dataset.from_tensor_slices(
            (
                [str(file) for file in of_part[part]],
                np.array([geometry(scans[i]) for i in parts[part]], np.int32),
                listing.targets[parts[part]],
            )
        )

    def batches(part: str) -> Any:
        if not parts[part] or subset not in ("both", part):
            return None
        if part == TRAIN:
            train = batcher.train(samples(part), load)
            train.labels = listing.targets[parts[part]]
            return train
        return batcher.evaluation(samples(part), load, part)

    def count(part: str) -> int:
        return len(parts[part]) if subset in ("both", part) else 0

    return ImageData(
        train=batches(TRAIN),
        validation=batches(VALIDATION),
        class_names=listing.names,
        preprocessing=preprocessing,
        skipped=tuple(skipped),
        train_size=count(TRAIN),
        validation_size=count(VALIDATION),
        test=batches(TEST),
        test_size=count(TEST),
        problems=tuple(skipped.values()),
        task=listing.task,
    )


def _split(listing: Listing, share: float, seed: int) -> dict[str, list[int]]:
    """The indices of the images of each part; those that are for no part yet are split."""
    names = [Path(os.path.relpath(file, listing.root)).as_posix() for file in listing.files]
    parts = {part: [i for i, own in enumerate(listing.parts) if own == part] for part in PARTS}
    free = [index for index, part in enumerate(listing.parts) if part is None]
    if free:
        is_classified = listing.task == CLASSIFICATION
        strata = listing.targets[free].tolist() if is_classified else [0] * len(free)
        train, validation = stratified_split([names[i] for i in free], strata, share, seed)
        parts[TRAIN] = sorted(parts[TRAIN] + [free[i] for i in train])
        parts[VALIDATION] += [free[i] for i in validation]
    for part in (VALIDATION, TEST):
        parts[part].sort(key=lambda index: rank(seed, names[index]))
    return parts


def _preprocessing(given: Any, image_size: Any, channels: Any) -> Preprocessing:
    if given is not None and not isinstance(given, Preprocessing):
        raise reject("preprocessing", given, "a Preprocessing or None")
    if channels is not None:
        one_of("channels", channels, (1, 3))
    if given is None:
        wanted = (224, 224) if image_size is None else size("image_size", image_size)
        return Preprocessing(image_size=wanted, channels=3 if channels is None else channels)
    if image_size is not None and size("image_size", image_size) != given.image_size:
        raise reject("image_size", image_size, f"that of `preprocessing`, {given.image_size}")
    if channels is not None and channels != given.channels:
        raise reject("channels", channels, f"that of `preprocessing`, {given.channels}")
    one_of("preprocessing.channels", given.channels, (1, 3))
    return given
