"""A folder with one sub-folder of images per class."""

import os
from typing import Any

import numpy as np

from keras_bottleneck.checks import boolean, integer, number, one_of, reject, size
from keras_bottleneck.data.images import ImageData, load_tensorflow
from keras_bottleneck.data.listing import checked_folder, class_files, class_names, readable_files
from keras_bottleneck.data.pipeline import Batcher, load_file
from keras_bottleneck.data.splitting import stratified_split
from keras_bottleneck.preprocessing import Preprocessing


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
) -> ImageData:
    """Batches from JPEG, PNG, BMP and GIF files in one sub-folder per class.

    Every file is decoded once before anything else, with the decoder of the training, so that a
    broken file is reported now. The split is stratified and depends on seed and file names only.
    Files are read again whenever their turn comes, so that memory does not grow with their sizes;
    one that has turned unreadable by then is replaced by the image behind it, and a warning at the
    end of the pass says how many there were.
    Hidden files and folders (".DS_Store") are ignored.

    Args:
        path: The folder. Its sub-folders are the classes, sorted by name; images may lie deeper.
        image_size: (height, width) of the model input in pixels; one integer stands for both;
            None for that of `preprocessing`, or (224, 224).
        batch_size: Images per batch; the last batch of an epoch may be smaller.
        validation_split: Share of every class that validates, in [0, 1); every class keeps an
            image to train with.
        subset: "both", "train" or "validation"; the part that is not wanted is None.
        seed: Of the split, the order and the augmentation. The same seed gives the same batches.
        augment: What happens to training batches of float32 pixels in 0..255, in this order:
            "flip" (left-right), "crop" (shift by up to 1/8), "resized_crop" (a quarter of the image
            at least), "rotation" (by up to 15 degrees), "jitter" (of brightness, contrast,
            saturation, hue), "rand_augment" (Cubuk et al. 2019), "augmix" (Hendrycks et al. 2020),
            "erasing" (of a rectangle in half of the images, Zhong et al. 2017), "mixup" (Zhang et
            al. 2017) or "cutmix" (Yun et al. 2019), with which labels become float32 (batch,
            classes) in both parts; Keras layers, or functions from batch to batch. "jitter" and
            "rand_augment" are for images of three channels.
        channels: 1 (grey) or 3; None for that of `preprocessing`, or 3.
        preprocessing: Resizing, scale, mean and std; by default pixels are stretched to
            `image_size` and divided by 255.
        on_corrupt: "skip" leaves unreadable files out, warns once and lists them in `skipped`;
            "error" raises at the first.
        cache: Keep decoded, resized images in memory (4 bytes per value). The first epoch then
            begins when all images are decoded.

    Returns:
        Batches of float32 (batch, height, width, channels) images and int32 (batch,) labels.

    Raises:
        ImportError: If TensorFlow is not installed.
        ValueError: If an argument is out of range; the folder is missing, has fewer than two
            classes, or a class without a readable image; or a file is unreadable and `on_corrupt`
            is "error".

    Example:
        >>> data = image_folder("flowers", image_size=96, augment=["flip"])  # doctest: +SKIP
        >>> model.fit(data.train, validation_data=data.validation)  # doctest: +SKIP
    """
    preprocessing = _preprocessing(preprocessing, image_size, channels)
    batch_size = integer("batch_size", batch_size)
    validation_split = number("validation_split", validation_split, maximum=1.0, below=True)
    if one_of("subset", subset, ("both", "train", "validation")) == "validation":
        number("validation_split", validation_split, above=True)
    seed = integer("seed", seed, minimum=0)
    one_of("on_corrupt", on_corrupt, ("skip", "error"))
    boolean("cache", cache)
    load_tensorflow()
    from keras_bottleneck.data.augmentation import Augmenter  # imports keras: after TensorFlow

    augmenter = Augmenter(augment, preprocessing.channels)
    root = checked_folder(path)
    classes = class_names(root)
    files = {name: class_files(root, name) for name in classes}
    sizes, skipped = readable_files(root, files, on_corrupt)

    listed = [(file, label) for label, name in enumerate(classes) for file in files[name]]
    paths, labels = zip(*((file, label) for file, label in listed if file in sizes), strict=True)
    names = [file.relative_to(root).as_posix() for file in paths]
    train, validation = stratified_split(names, labels, validation_split, seed)
    train = train if subset != "validation" else []
    validation = validation if subset != "train" else []

    batcher = Batcher(preprocessing, batch_size, len(classes), seed, augmenter, cache)
    load = load_file(preprocessing)
    geometries = [preprocessing.geometry(*sizes[file]) for file in paths]

    def samples(indices: list[int]) -> Any:
        return load_tensorflow().data.Dataset.from_tensor_slices(
            (
                [str(paths[i]) for i in indices],
                np.array([(*geometries[i][0], *geometries[i][1]) for i in indices], np.int32),
                np.array([labels[i] for i in indices], np.int32),
            )
        )

    return ImageData(
        train=batcher.train(samples(train), load) if train else None,
        validation=batcher.validation(samples(validation), load) if validation else None,
        class_names=classes,
        preprocessing=preprocessing,
        skipped=skipped,
        train_size=len(train),
        validation_size=len(validation),
    )


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
