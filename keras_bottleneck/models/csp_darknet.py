"""CSPDarknet, the backbone of YOLOv5, from the reference's table."""

import math
from collections.abc import Sequence
from typing import Any

import keras

from keras_bottleneck import checks, naming
from keras_bottleneck.construction import quick_variables
from keras_bottleneck.layers import BatchNormalization, ConvNormAct, CSPLayer
from keras_bottleneck.layers import activation as activations
from keras_bottleneck.models.assembly import (
    image_input,
    interface,
    model_of,
    prepared,
    with_head,
)
from keras_bottleneck.models.trained import any_file
from keras_bottleneck.preprocessing import Preprocessing

STEM = 64
# Channels and bottlenecks of each stage at width 1 and depth 1 (models/yolov5l.yaml, v6.0).
STAGES = ((128, 3), (256, 6), (512, 9), (1024, 3))


@quick_variables()
def CSPDarknet(
    include_top: bool = True,
    weights: Any = None,
    input_tensor: Any = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: activations.Activation = "softmax",
    name: str = "csp_darknet",
    *,
    preprocessing: Preprocessing | None = None,
    include_preprocessing: bool = False,
    width: float = 0.5,
    depth: float = 0.33,
    activation: activations.Activation = "silu",
    epsilon: float = 1e-3,
    momentum: float = 0.97,
) -> keras.Model:
    """CSPDarknet: cross stage partial stages of Darknet's bottlenecks (Wang et al. 2020).

    The defaults are YOLOv5s; its five sizes n, s, m, l, x have width 0.25, 0.5, 0.75, 1, 1.25 and
    depth 0.33, 0.33, 0.67, 1, 1.33. Spatial pyramid pooling is no part of it.

    Args:
        include_top: Whether global average pooling and the classifier end the network.
        weights: None, or a file that `weights.load` takes.
        input_tensor: A Keras tensor of images to build on, instead of a new input.
        input_shape: (height, width, channels); height and width may be None, channels any
            number. By default (224, 224, 3), and any size without top.
        pooling: Without top: None, `"avg"` or `"max"`.
        classes: Outputs of the classifier.
        classifier_activation: `"softmax"`, or None for logits.
        name: Name of the model.
        preprocessing: How images become the model's input, for `model_preprocessing` to tell and
            for every exported file to carry.
        include_preprocessing: Whether the model takes pixels, 0 to 255, and scales them itself.
        width: Width multiplier; channels are rounded up to a multiple of 8.
        depth: Depth multiplier; each stage has at least one bottleneck.
        activation: After each convolution.
        epsilon: Batch norm's epsilon.
        momentum: Batch norm's momentum, in Keras's sense.

    Returns:
        A functional `keras.Model` from `(batch, height, width, channels)` to
        `(batch, classes)`, or to the last feature map (pooled or not) without top.

    Raises:
        ValueError: For an argument out of range; the message says what is accepted.

    Source: ultralytics/yolov5, v6.0.

    Example:
        >>> CSPDarknet(input_shape=(64, 64, 3), width=0.25, classes=10).output_shape
        (None, 10)
    """
    head = interface(
        include_top,
        pooling,
        classes,
        classifier_activation,
        preprocessing,
        include_preprocessing,
    )
    trained = any_file(weights)
    width = checks.number("width", width, above=True)
    depth = checks.number("depth", depth, above=True)
    conv_norm_act: dict[str, Any] = {
        "activation": activation,
        "epsilon": epsilon,
        "momentum": momentum,
    }

    side = 224 if include_top else None
    image = image_input(input_tensor, input_shape, (side, side, 3))
    x = _stem(prepared(image, head), scaled_filters(STEM, width), **conv_norm_act)
    for stage, (filters, blocks) in enumerate(STAGES, start=1):
        filters = scaled_filters(filters, width)
        blocks = max(round(blocks * depth), 1)
        x = ConvNormAct(filters, 3, 2, name=naming.in_stage(stage, "down"), **conv_norm_act)(x)
        x = CSPLayer(filters, blocks, name=naming.block(stage, 1), **conv_norm_act)(x)
    model = model_of(input_tensor, image, with_head(x, head), name, head)
    return trained.loaded(model, include_top)


def _stem(x: Any, filters: int, activation: Any, epsilon: float, momentum: float) -> Any:
    """6x6 stride 2: the reference's "focus", a 3x3 on 2 x 2 pixels as channels, in one."""
    # The last zeros are for odd sizes alone; the reference, which pads 2, is tried on even ones.
    x = keras.layers.ZeroPadding2D(((2, 3), (2, 3)), name=f"{naming.STEM}_pad")(x)
    x = keras.layers.Conv2D(filters, 6, 2, use_bias=False, name=naming.FIRST_CONVOLUTION)(x)
    x = BatchNormalization(epsilon=epsilon, momentum=momentum, name=f"{naming.STEM}_bn")(x)
    act = activations.make(activations.check(activation), name=f"{naming.STEM}_act")
    return x if act is None else act(x)


def scaled_filters(filters: int, width: float, divisor: int = 8) -> int:
    """`filters * width`, rounded up to a multiple of `divisor`.

    Source: `make_divisible` of ultralytics/yolov5.

    Example:
        >>> scaled_filters(64, 0.3)
        24
    """
    return math.ceil(filters * width / divisor) * divisor
