"""FPN: strong features at every resolution, for detectors and segmenters."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_bottleneck import checks
from keras_bottleneck.construction import quick_variables
from keras_bottleneck.models.assembly import checked_name
from keras_bottleneck.models.decoding import Level, levels_of, model_on, upsampled


@quick_variables()
def FPN(
    backbone: keras.Model,
    filters: int = 256,
    strides: Sequence[int] | None = None,
    name: str | None = None,
) -> keras.Model:
    """The feature pyramid network of a backbone (Lin et al. 2017, section 3 and figure 3).

    From the coarsest feature map down: a 1x1 convolution brings each map to `filters` channels,
    the result of the coarser level is added with each pixel repeated, and a 3x3 convolution
    smooths the sum. There is no activation: that is left to the heads, which the levels share.

    Args:
        backbone: A model of this package, with or without top; the new model shares its layers
            and weights.
        filters: Channels of every output.
        strides: Of the levels to use, out of those that `feature_info(backbone)` lists, in
            increasing order; all by default. The paper uses (4, 8, 16, 32).
        name: Name of the model; by default that of the backbone with `_fpn`.

    Returns:
        A functional model from images `(batch, height, width, channels)` to a list of
        `(batch, ceil(height / stride), ceil(width / stride), filters)`, the finest first (where
        there is one alone, Keras returns it without the list). Any image size will do, also one
        that is not known beforehand: what up-sampling makes too large is cut at the bottom and
        the right.

    Raises:
        ValueError: If `backbone` has no stages of this package, or an argument is out of range.

    Example:
        >>> from keras_bottleneck.models import ResNet18
        >>> backbone = ResNet18(include_top=False, input_shape=(100, 100, 3))
        >>> [y.shape[1:] for y in FPN(backbone, 64, strides=(8, 16, 32)).outputs]
        [(13, 13, 64), (7, 7, 64), (4, 4, 64)]
    """
    levels = _chosen(levels_of(backbone), strides)
    checks.integer("filters", filters)
    name = checked_name(f"{backbone.name}_fpn" if name is None else name)
    return model_on(backbone, _top_down(levels, filters), name)


def _chosen(levels: list[Level], strides: Any) -> list[Level]:
    known = {level.stride: level for level in levels}
    if strides is None:
        return levels
    wanted = checks.integers("strides", strides)
    if not set(wanted) <= set(known) or list(wanted) != sorted(set(wanted)):
        accepted = f"increasing numbers out of {tuple(known)}, the backbone's"
        raise checks.reject("strides", strides, accepted)
    return [known[stride] for stride in wanted]


def _top_down(levels: list[Level], filters: int) -> list[keras.KerasTensor]:
    """The output of each level."""
    merged: dict[int, keras.KerasTensor] = {}
    coarser = None
    for level in reversed(levels):
        prefix = f"fpn{level.stride}"
        x = keras.layers.Conv2D(filters, 1, name=f"{prefix}_lateral")(level.output)
        if coarser is not None:
            factor = coarser.stride // level.stride
            above = upsampled(coarser.output, factor, x, prefix)
            x = keras.layers.Add(name=f"{prefix}_add")([x, above])
        merged[level.stride] = x
        coarser = Level(x, level.stride)
    return [
        keras.layers.Conv2D(filters, 3, padding="same", name=f"fpn{stride}_smooth")(merged[stride])
        for stride in sorted(merged)
    ]
