"""MobileNetV2 from the paper's (t, c, n, s) table."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_bottleneck import checks, naming
from keras_bottleneck.construction import quick_variables
from keras_bottleneck.layers import ConvNormAct, InvertedResidual
from keras_bottleneck.layers import activation as activations
from keras_bottleneck.models.assembly import (
    image_input,
    interface,
    linear_rates,
    model_of,
    prepared,
    shape_of_images,
    with_head,
)
from keras_bottleneck.models.trained import following
from keras_bottleneck.preprocessing import Preprocessing

# Table 2 of Sandler et al. 2018: expansion, channels, blocks and first stride of each stage.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
# Where neither the caller nor a checkpoint says.
DEFAULTS = {"padding": "same", "epsilon": 1e-5, "preprocessing": None}


@quick_variables()
def MobileNetV2(
    input_shape: Sequence[int | None] | None = None,
    alpha: float = 1.0,
    include_top: bool = True,
    weights: Any = None,
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: activations.Activation = "softmax",
    name: str = "mobilenet_v2",
    *,
    preprocessing: Preprocessing | None = None,
    include_preprocessing: bool = False,
    padding: str | None = None,
    activation: activations.Activation = "relu6",
    se_ratio: float = 0.0,
    drop_path: float = 0.0,
    epsilon: float | None = None,
    momentum: float = 0.9,
) -> keras.Model:
    """MobileNetV2: inverted residuals with linear bottlenecks (Sandler et al. 2018).

    Args:
        input_shape: (height, width, channels); height and width may be None, channels any
            number. By default (224, 224, 3), and any size without top.
        alpha: Width multiplier; channels are rounded to a multiple of 8.
        include_top: Whether global average pooling and the classifier end the network.
        weights: None, `"imagenet"` (those for `alpha` and, where there are some, for the size of
            the images) or another of `weights.names("MobileNetV2")`, or a file that `weights.load`
            takes.
        input_tensor: A Keras tensor of images to build on, instead of a new input.
        pooling: Without top: None, `"avg"` or `"max"`.
        classes: Outputs of the classifier.
        classifier_activation: `"softmax"`, or None for logits.
        name: Name of the model.
        preprocessing: How images become the model's input, for `model_preprocessing` to tell and
            for every exported file to carry; by default that of the checkpoint.
        include_preprocessing: Whether the model takes pixels, 0 to 255, and scales them itself.
        padding: `"same"` (TensorFlow's, keras.applications) or `"symmetric"` (torchvision); by
            default that of `weights`, else `"same"`.
        activation: After each convolution but the linear ones.
        se_ratio: Squeeze-excite after each depthwise convolution; 0 for none.
        drop_path: Stochastic depth's rate at the last block; it grows linearly from 0.
        epsilon: Batch norm's epsilon (keras.applications: 1e-3); by default that of `weights`, else
            1e-5.
        momentum: Batch norm's momentum, in Keras's sense.

    Returns:
        A functional `keras.Model` from `(batch, height, width, channels)` to
        `(batch, classes)`, or to the last feature map (pooled or not) without top.

    Raises:
        ValueError: For an argument out of range; the message says what is accepted.

    Example:
        >>> MobileNetV2((96, 96, 3), alpha=0.35, classes=10).output_shape
        (None, 10)
    """
    alpha = checks.number("alpha", alpha, above=True)
    given = {
        "alpha": alpha,
        "padding": padding,
        "epsilon": epsilon,
        "preprocessing": preprocessing,
    }
    trained = following(
        "MobileNetV2",
        weights,
        classes if include_top else None,
        shape_of_images(input_tensor, input_shape),
        {argument: value for argument, value in given.items() if value is not None},
    )
    asked = {**DEFAULTS, **trained.architecture}
    head = interface(
        include_top,
        pooling,
        classes,
        classifier_activation,
        asked["preprocessing"],
        include_preprocessing,
    )
    checks.number("drop_path", drop_path, 0, 1, below=True)
    conv_norm_act: dict[str, Any] = {
        "padding": asked["padding"],
        "activation": activation,
        "epsilon": asked["epsilon"],
        "momentum": momentum,
    }

    side = 224 if include_top else None
    image = image_input(input_tensor, input_shape, (side, side, 3))
    x = prepared(image, head)
    x = ConvNormAct(scaled_channels(32, alpha), 3, 2, name=naming.stem(), **conv_norm_act)(x)
    rates = iter(linear_rates(drop_path, sum(blocks for _, _, blocks, _ in STAGES)))
    for stage, (expansion, channels, blocks, stride) in enumerate(STAGES, start=1):
        for index in range(1, blocks + 1):
            block = InvertedResidual(
                scaled_channels(channels, alpha),
                stride if index == 1 else 1,
                expansion,
                se_ratio=se_ratio,
                drop_path=next(rates),
                name=naming.block(stage, index),
                **conv_norm_act,
            )
            x = block(x)
    # The paper widens the last convolution with the network, but never narrows it.
    x = ConvNormAct(scaled_channels(1280, max(alpha, 1.0)), 1, name=naming.HEAD, **conv_norm_act)(x)
    model = model_of(input_tensor, image, with_head(x, head), name, head)
    return trained.loaded(model, include_top)


def scaled_channels(channels: int, alpha: float, divisor: int = 8) -> int:
    """`channels * alpha` to the nearest multiple of `divisor`, never more than 10% below it.

    Source: `make_divisible` of the reference implementation (tensorflow/models).

    Example:
        >>> scaled_channels(32, 0.35)
        16
    """
    scaled = channels * alpha
    rounded = max(divisor, int(scaled + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * scaled else rounded
