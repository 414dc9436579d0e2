"""ResNet: one builder, one row for each published depth."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras

from keras_bottleneck import checks
from keras_bottleneck.layers import BasicBlock, Bottleneck, ConvNormAct
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
from keras_bottleneck.models.trained import any_file, following
from keras_bottleneck.preprocessing import Preprocessing

Shape = Sequence[int | None] | None


def ResNet(
    block: str = "bottleneck",
    depths: Sequence[int] = (3, 4, 6, 3),
    include_top: bool = True,
    weights: Any = None,
    input_tensor: Any = None,
    input_shape: Shape = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: activations.Activation = "softmax",
    name: str = "resnet",
    *,
    preprocessing: Preprocessing | None = None,
    include_preprocessing: bool = False,
    filters: Sequence[int] = (64, 128, 256, 512),
    stem: str = "imagenet",
    stride_on: str = "3x3",
    groups: int = 1,
    base_width: int = 64,
    shortcut: str = "projection",
    padding: str = "symmetric",
    activation: activations.Activation = "relu",
    se_ratio: float = 0.0,
    drop_path: float = 0.0,
    zero_init_residual: bool = False,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
) -> keras.Model:
    """A residual network of any depth and width (He et al. 2015).

    Args:
        block: `"basic"` (two 3x3) or `"bottleneck"` (1x1, 3x3, 1x1).
        depths: Blocks in each stage. Every stage but the first halves the resolution.
        include_top: Whether global average pooling and the classifier end the network.
        weights: None, or what `weights.load` takes: a file, or a checkpoint of this very network.
        input_tensor: A Keras tensor of images to build on, instead of a new input.
        input_shape: (height, width, channels); height and width may be None, channels any
            number. By default (224, 224, 3), (32, 32, 3) with the CIFAR stem, and any size
            without top.
        pooling: Without top: None, `"avg"` or `"max"`.
        classes: Outputs of the classifier.
        classifier_activation: `"softmax"`, or None for logits.
        name: Name of the model.
        preprocessing: How images become the model's input, for `model_preprocessing` to tell and
            for every exported file to carry; by default that of the checkpoint.
        include_preprocessing: Whether the model takes pixels, 0 to 255, and scales them itself.
        filters: Filters of each stage's blocks, as many as `depths`.
        stem: `"imagenet"` (7x7 stride 2, then 3x3 max pool stride 2) or `"cifar"` (3x3).
        stride_on: `"3x3"` (v1.5) or `"1x1"` (v1); bottleneck only.
        groups: Groups of the 3x3 convolutions (ResNeXt); bottleneck only.
        base_width: Width of a group for 64 filters (wide ResNet, ResNeXt); bottleneck only.
        shortcut: `"projection"`, `"pad"`, `"pool"` or `"none"`, as in `ResidualBlock`.
        padding: `"symmetric"` (paper, torchvision) or `"same"` (TensorFlow's).
        activation: After each convolution and each sum.
        se_ratio: Squeeze-excite bottleneck as a part of the channels; 0 for none.
        drop_path: Stochastic depth's rate at the last block; it grows linearly from 0.
        zero_init_residual: Start each branch's last batch norm at zero.
        epsilon: Batch norm's epsilon.
        momentum: Batch norm's momentum, in Keras's sense.

    Returns:
        A functional `keras.Model` from `(batch, height, width, channels)` to
        `(batch, classes)`, or to the last feature map (pooled or not) without top.

    Raises:
        ValueError: For an argument out of range; the message says what is accepted.

    Example:
        >>> model = ResNet("basic", (1, 1), filters=(16, 32), stem="cifar", classes=10)
        >>> model.output_shape
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
    checks.one_of("block", block, ("basic", "bottleneck"))
    depths = checks.integers("depths", depths)
    filters = checks.integers("filters", filters, length=len(depths))
    checks.one_of("stem", stem, STEMS)
    # A block between stages changes its shape, which an identity shortcut cannot follow.
    checks.one_of("shortcut", shortcut, ("projection", "pad", "pool", "none"))
    checks.number("drop_path", drop_path, 0, 1, below=True)
    if block == "basic":
        for key, given, only in (
            ("stride_on", stride_on, "3x3"),
            ("groups", groups, 1),
            ("base_width", base_width, 64),
        ):
            if given != only:
                raise checks.reject(key, given, f"{only!r} with basic blocks")

    conv_norm_act: dict[str, Any] = {
        "padding": padding,
        "activation": activation,
        "epsilon": epsilon,
        "momentum": momentum,
    }
    residual: dict[str, Any] = {
        "shortcut": shortcut,
        "se_ratio": se_ratio,
        "zero_init_residual": zero_init_residual,
        **conv_norm_act,
    }
    make_block: Callable[..., keras.layers.Layer] = partial(BasicBlock, **residual)
    if block == "bottleneck":
        make_block = partial(
            Bottleneck, stride_on=stride_on, groups=groups, base_width=base_width, **residual
        )

    side = None if not include_top else 32 if stem == "cifar" else 224
    image = image_input(input_tensor, input_shape, (side, side, 3))
    x = STEMS[stem](prepared(image, head), filters[0], **conv_norm_act)
    rates = iter(linear_rates(drop_path, sum(depths)))
    for stage, (depth, width) in enumerate(zip(depths, filters, strict=True), start=1):
        for index in range(1, depth + 1):
            stride = 2 if stage > 1 and index == 1 else 1
            block_name = f"stage{stage}_block{index}"
            x = make_block(width, stride, drop_path=next(rates), name=block_name)(x)
    model = model_of(input_tensor, image, with_head(x, head), name, head)
    return trained.loaded(model, include_top)


def _imagenet_stem(x: Any, filters: int, **conv: Any) -> Any:
    """7x7 stride 2, then 3x3 max pool stride 2 (He et al. 2015, table 1)."""
    x = ConvNormAct(filters, 7, 2, name="stem", **conv)(x)
    if conv["padding"] == "same":
        return keras.layers.MaxPooling2D(3, 2, padding="same", name="stem_pool")(x)
    # Zeros, not minus infinity: after a ReLU the maximum is the same, and int8 survives.
    x = keras.layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
    return keras.layers.MaxPooling2D(3, 2, name="stem_pool")(x)


def _cifar_stem(x: Any, filters: int, **conv: Any) -> Any:
    """3x3, full resolution (He et al. 2015, section 4.2)."""
    return ConvNormAct(filters, 3, name="stem", **conv)(x)


STEMS = {"imagenet": _imagenet_stem, "cifar": _cifar_stem}


def ResNet18(
    include_top: bool = True,
    weights: Any = None,
    input_tensor: Any = None,
    input_shape: Shape = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: activations.Activation = "softmax",
    name: str = "resnet18",
    **architecture: Any,
) -> keras.Model:
    """ResNet-18 (11,689,512 trainable parameters with 1000 classes).

    Arguments, and those that `architecture` takes: see `ResNet`.

    Example:
        >>> ResNet18(input_shape=(64, 64, 3), classes=10).output_shape
        (None, 10)
    """
    image = shape_of_images(input_tensor, input_shape)
    trained = following("ResNet18", weights, classes if include_top else None, image, architecture)
    top = (include_top, None, input_tensor, input_shape, pooling, classes, classifier_activation)
    model = ResNet("basic", (2, 2, 2, 2), *top, name, **trained.architecture)
    return trained.loaded(model, include_top)


def ResNet34(
    include_top: bool = True,
    weights: Any = None,
    input_tensor: Any = None,
    input_shape: Shape = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: activations.Activation = "softmax",
    name: str = "resnet34",
    **architecture: Any,
) -> keras.Model:
    """ResNet-34 (21,797,672 trainable parameters with 1000 classes).

    Arguments, and those that `architecture` takes: see `ResNet`.

    Example:
        >>> ResNet34(input_shape=(64, 64, 3), classes=10).output_shape
        (None, 10)
    """
    image = shape_of_images(input_tensor, input_shape)
    trained = following("ResNet34", weights, classes if include_top else None, image, architecture)
    top = (include_top, None, input_tensor, input_shape, pooling, classes, classifier_activation)
    model = ResNet("basic", (3, 4, 6, 3), *top, name, **trained.architecture)
    return trained.loaded(model, include_top)


def ResNet50(
    include_top: bool = True,
    weights: Any = None,
    input_tensor: Any = None,
    input_shape: Shape = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: activations.Activation = "softmax",
    name: str = "resnet50",
    **architecture: Any,
) -> keras.Model:
    """ResNet-50 v1.5 (25,557,032 trainable parameters with 1000 classes).

    Arguments, and those that `architecture` takes: see `ResNet`.

    Example:
        >>> ResNet50(input_shape=(64, 64, 3), classes=10).output_shape
        (None, 10)
    """
    image = shape_of_images(input_tensor, input_shape)
    trained = following("ResNet50", weights, classes if include_top else None, image, architecture)
    top = (include_top, None, input_tensor, input_shape, pooling, classes, classifier_activation)
    model = ResNet("bottleneck", (3, 4, 6, 3), *top, name, **trained.architecture)
    return trained.loaded(model, include_top)


def ResNet101(
    include_top: bool = True,
    weights: Any = None,
    input_tensor: Any = None,
    input_shape: Shape = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: activations.Activation = "softmax",
    name: str = "resnet101",
    **architecture: Any,
) -> keras.Model:
    """ResNet-101 v1.5 (44,549,160 trainable parameters with 1000 classes).

    Arguments, and those that `architecture` takes: see `ResNet`.

    Example:
        >>> ResNet101(input_shape=(64, 64, 3), classes=10).output_shape
        (None, 10)
    """
    image = shape_of_images(input_tensor, input_shape)
    trained = following("ResNet101", weights, classes if include_top else None, image, architecture)
    top = (include_top, None, input_tensor, input_shape, pooling, classes, classifier_activation)
    model = ResNet("bottleneck", (3, 4, 23, 3), *top, name, **trained.architecture)
    return trained.loaded(model, include_top)


def ResNet152(
    include_top: bool = True,
    weights: Any = None,
    input_tensor: Any = None,
    input_shape: Shape = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: activations.Activation = "softmax",
    name: str = "resnet152",
    **architecture: Any,
) -> keras.Model:
    """ResNet-152 v1.5 (60,192,808 trainable parameters with 1000 classes).

    Arguments, and those that `architecture` takes: see `ResNet`.

    Example:
        >>> ResNet152(input_shape=(64, 64, 3), classes=10).output_shape
        (None, 10)
    """
    image = shape_of_images(input_tensor, input_shape)
    trained = following("ResNet152", weights, classes if include_top else None, image, architecture)
    top = (include_top, None, input_tensor, input_shape, pooling, classes, classifier_activation)
    model = ResNet("bottleneck", (3, 8, 36, 3), *top, name, **trained.architecture)
    return trained.loaded(model, include_top)
