"""ResUNet: a class for every pixel, by residual blocks over a backbone's feature maps."""

from typing import Any

import keras

from keras_bottleneck import checks, naming
from keras_bottleneck.construction import quick_variables
from keras_bottleneck.layers import BasicBlock
from keras_bottleneck.layers import activation as activations
from keras_bottleneck.models.assembly import checked_name
from keras_bottleneck.models.decoding import Level, levels_of, model_on, upsampled


@quick_variables()
def ResUNet(
    backbone: keras.Model,
    classes: int,
    filters: int = 16,
    classifier_activation: activations.Activation = "softmax",
    name: str | None = None,
) -> keras.Model:
    """A U-Net of residual blocks over any backbone of this package, for segmentation.

    From the coarsest feature map up: each pixel is repeated, the backbone's own map of that
    resolution is concatenated, and a `BasicBlock` merges the two. Where the backbone begins with
    a stride, a last block works at the resolution of the image, without a map beside it. A 1x1
    convolution gives each pixel its classes.

    It trains with `keras.losses.SparseCategoricalCrossentropy` on images and masks
    `(batch, height, width)` of class indices.

    Args:
        backbone: A model of this package, with or without top; the new model shares its layers
            and weights.
        classes: Number of classes, the background among them.
        filters: Of the block at the resolution of the image. A block at stride s has s times as
            many: by default 256 at stride 16.
        classifier_activation: `"softmax"`, or None for logits.
        name: Name of the model; by default that of the backbone with `_unet`.

    Returns:
        A functional model from images `(batch, height, width, channels)` to
        `(batch, height, width, classes)`. Any image size will do, also one that is not known
        beforehand: what up-sampling makes too large is cut at the bottom and the right.

    Raises:
        ValueError: If `backbone` has no stages of this package, or an argument is out of range.

    Source: Ronneberger et al. 2015, fig. 1; with residual units, Zhang et al. 2018, "Road
    Extraction by Deep Residual U-Net", fig. 2.

    Example:
        >>> from keras_bottleneck.models import ResNet18
        >>> backbone = ResNet18(include_top=False, input_shape=(100, 100, 3))
        >>> ResUNet(backbone, classes=3).output_shape
        (None, 100, 100, 3)
    """
    levels = levels_of(backbone)
    checks.integer("classes", classes)
    checks.integer("filters", filters)
    activations.check(classifier_activation, "classifier_activation")
    name = checked_name(f"{backbone.name}_unet" if name is None else name)
    # A softmax over half-precision logits loses the small probabilities.
    classifier = keras.layers.Conv2D(
        classes, 1, activation=classifier_activation, name=naming.CLASSIFIER, dtype="float32"
    )
    decoded = _decoded(backbone.inputs[0], levels, filters)
    return model_on(backbone, classifier(decoded), name)


def _decoded(image: Any, levels: list[Level], filters: int) -> keras.KerasTensor:
    """From the coarsest level up to the resolution of `image`."""
    *finer, (x, stride) = levels
    for skip in reversed(finer):
        prefix = f"decoder{skip.stride}"
        x = upsampled(x, stride // skip.stride, skip.output, prefix)
        x = keras.layers.Concatenate(name=f"{prefix}_concat")([x, skip.output])
        x = BasicBlock(filters * skip.stride, name=f"{prefix}_block")(x)
        stride = skip.stride
    if stride > 1 or not finer:
        x = BasicBlock(filters, name="decoder1_block")(upsampled(x, stride, image, "decoder1"))
    return x
