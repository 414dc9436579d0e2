"""What decoders need: a backbone's feature maps, maps of equal sizes, a model on top of both."""

from typing import Any, NamedTuple

import keras

from keras_bottleneck import keras_private
from keras_bottleneck.image_model import carrying, model_preprocessing
from keras_bottleneck.layers import CropLike
from keras_bottleneck.models.features import feature_info


class Level(NamedTuple):
    """A feature map of a backbone, and its stride in input pixels."""

    output: keras.KerasTensor
    stride: int


def levels_of(backbone: Any) -> list[Level]:
    """The feature maps of `feature_info(backbone)`, the finest first.

    Raises:
        ValueError: If `backbone` has no stages of this package.
    """
    features = feature_info(backbone)
    return [Level(backbone.get_layer(feature.name).output, feature.stride) for feature in features]


def upsampled(x: Any, factor: int, like: Any, name: str) -> Any:
    """`x`, each pixel repeated `factor` times along each side, cut to the size of `like`.

    Sizes are rounded up on the way down, so that what comes back is never too small; and pixel i
    of the result is pixel `i // factor` of `x`, as where frameworks resize to a given size.
    """
    if factor > 1:
        x = keras.layers.UpSampling2D(factor, name=f"{name}_upsample")(x)
    sizes = (*x.shape[1:3], *like.shape[1:3])
    if None in sizes:
        return CropLike(name=f"{name}_crop")([x, like])
    rows, columns = sizes[0] - sizes[2], sizes[1] - sizes[3]
    if rows == columns == 0:
        return x
    return keras.layers.Cropping2D(((0, rows), (0, columns)), name=f"{name}_crop")(x)


def model_on(backbone: keras.Model, outputs: Any, name: str) -> keras.Model:
    """The model from the images of `backbone` to `outputs`, with the preprocessing it carries."""
    model = keras.Model(keras_private.input_structure(backbone), outputs, name=name)
    return carrying(model, model_preprocessing(backbone))
