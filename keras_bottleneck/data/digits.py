"""A small set of real images that needs no download."""

from typing import Any

import numpy as np

from keras_bottleneck.checks import integer, number, one_of, size
from keras_bottleneck.data.images import ImageData, load_tensorflow
from keras_bottleneck.data.pipeline import Batcher, resize
from keras_bottleneck.data.splitting import stratified_split
from keras_bottleneck.preprocessing import Preprocessing


def digits(
    image_size: int | tuple[int, int] = (32, 32),
    batch_size: int = 32,
    *,
    channels: int = 1,
    validation_split: float = 0.2,
    seed: int = 0,
    augment: Any = (),
) -> ImageData:
    """1,797 scans of handwritten digits, 8 x 8 pixels, upscaled: enough to see a network learn.

    Args:
        image_size: (height, width) in pixels to scale to; one integer stands for both.
        batch_size: Images per batch.
        channels: 1, or 3 for models that want colour.
        validation_split: Share of every class that validates, in [0, 1).
        seed: Of the split, the order and the augmentation.
        augment: As in `image_folder`.

    Returns:
        Batches of float32 (batch, height, width, channels) images in 0..1, class names "0".."9".

    Raises:
        ImportError: If TensorFlow or scikit-learn is not installed.
        ValueError: If an argument is out of range.

    Source: E. Alpaydin and C. Kaynak 1998, UCI Machine Learning Repository; the test part, as
    scikit-learn's `load_digits` carries it.

    Example:
        >>> data = digits(image_size=32, batch_size=64)
        >>> images, labels = next(iter(data.validation))
        >>> images.shape
        TensorShape([64, 32, 32, 1])
    """
    preprocessing = Preprocessing(
        image_size=size("image_size", image_size),
        channels=one_of("channels", channels, (1, 3)),
    )
    batch_size = integer("batch_size", batch_size)
    validation_split = number("validation_split", validation_split, maximum=1.0, below=True)
    seed = integer("seed", seed, minimum=0)
    load_digits = _load_digits()
    tf = load_tensorflow()
    from keras_bottleneck.data.augmentation import Augmenter  # imports keras: after TensorFlow

    augmenter = Augmenter(augment, channels)
    bunch = load_digits()
    labels = bunch.target.astype(np.int32)
    scans = np.round(bunch.images * (255 / 16)).astype(np.uint8)[..., None].repeat(channels, -1)
    geometry = (*preprocessing.image_size, 0, 0)
    batcher = Batcher(preprocessing, batch_size, 10, seed, augmenter)

    def load(scan: Any, label: Any) -> tuple:
        return resize(scan, geometry, preprocessing), label

    def samples(indices: list[int]) -> Any:
        return tf.data.Dataset.from_tensor_slices((scans[indices], labels[indices]))

    names = [f"digit{index:04d}" for index in range(len(labels))]
    train, validation = stratified_split(names, labels.tolist(), validation_split, seed)
    return ImageData(
        train=batcher.train(samples(train), load),
        validation=batcher.evaluation(samples(validation), load) if validation else None,
        class_names=tuple("0123456789"),
        preprocessing=preprocessing,
        train_size=len(train),
        validation_size=len(validation),
    )


def _load_digits() -> Any:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ImportError(
            '`digits` comes with scikit-learn: pip install "keras-bottleneck[demo]"'
        ) from None
    return load_digits
