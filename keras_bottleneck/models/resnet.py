"""ResNet: one builder for the whole family."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import keras

from keras_bottleneck import checks, naming
from keras_bottleneck.construction import quick_variables
from keras_bottleneck.layers import (
    BasicBlock,
    BatchNormalization,
    Bottleneck,
    PreactivationBasicBlock,
    PreactivationBottleneck,
    Remat,
)
from keras_bottleneck.layers import activation as activations
from keras_bottleneck.models.assembly import (
    image_input,
    interface,
    linear_rates,
    model_of,
    prepared,
    with_head,
)
from keras_bottleneck.models.stems import STEMS, with_stem
from keras_bottleneck.models.trained import any_file
from keras_bottleneck.preprocessing import Preprocessing

Shape = Sequence[int | None] | None


@quick_variables()
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
    conv: str = "standard",
    padding: str = "symmetric",
    activation: activations.Activation = "relu",
    se_ratio: float = 0.0,
    drop_path: float = 0.0,
    zero_init_residual: bool = False,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    preactivation: bool = False,
    conv_bias: bool = False,
    stride_at: str = "first",
    output_stride: int | None = None,
    antialias: bool = False,
    remat: bool = False,
) -> keras.Model:
    """A residual network of any depth and width (He et al. 2015 and those who built on it).

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
        stem: `"imagenet"` (7x7 stride 2, then 3x3 max pool stride 2), `"deep"` (three 3x3 instead
            of the 7x7: ResNet-C, D and timm's `stem_type="deep"`) or `"cifar"` (one 3x3).
        stride_on: `"3x3"` (v1.5) or `"1x1"` (v1); bottleneck only.
        groups: Groups of the 3x3 convolutions (ResNeXt); bottleneck only.
        base_width: Width of a group for 64 filters (wide ResNet, ResNeXt); bottleneck only.
        shortcut: `"projection"`, `"pad"`, `"pool"` or `"none"`, as in `ResidualBlock`.
        conv: `"standard"`, `"separable"`, `"factorized"` or `"asymmetric"`, what the blocks' 3x3
            convolutions are, as in `ResidualBlock`.
        padding: `"symmetric"` (paper, torchvision) or `"same"` (TensorFlow's).
        activation: After each convolution and each sum.
        se_ratio: Squeeze-excite bottleneck as a part of the channels; 0 for none.
        drop_path: Stochastic depth's rate at the last block; it grows linearly from 0.
        zero_init_residual: Start each branch's last batch norm at zero.
        epsilon: Batch norm's epsilon.
        momentum: Batch norm's momentum, in Keras's sense.
        preactivation: Whether batch norm and activation come before each convolution (V2, He et
            al. 2016).
        conv_bias: With preactivation, whether the convolutions that no batch norm follows have a
            bias, as in `keras.applications`.
        stride_at: Which block of a stage halves the resolution: its `"first"` (the papers) or the
            `"last"` of the stage before (`keras.applications`' V2).
        output_stride: None, or 8, 16 or 32: stages that would go beyond it are dilated instead
            (Yu et al. 2017, as torchvision's `replace_stride_with_dilation`).
        antialias: Whether strides are taken by a `BlurPool` behind the activation (Zhang 2019);
            not those of the stem's convolutions and of the shortcuts.
        remat: Whether each block is a `Remat`, which trains in less memory and more time.

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
    checks.one_of("stride_at", stride_at, ("first", "last"))
    checks.one_of("output_stride", output_stride, (None, 8, 16, 32))
    checks.boolean("antialias", antialias)
    checks.boolean("remat", remat)
    if block == "basic":
        for key, given, only in (
            ("stride_on", stride_on, "3x3"),
            ("groups", groups, 1),
            ("base_width", base_width, 64),
        ):
            if given != only:
                raise checks.reject(key, given, f"{only!r} with basic blocks")
    if checks.boolean("conv_bias", conv_bias) and not preactivation:
        raise checks.reject("conv_bias", conv_bias, "False without `preactivation`")
    if stride_at == "last" and output_stride is not None:
        raise checks.reject("output_stride", output_stride, "None where `stride_at` is 'last'")

    conv_norm_act: dict[str, Any] = {
        "padding": padding,
        "activation": activation,
        "epsilon": epsilon,
        "momentum": momentum,
    }
    residual: dict[str, Any] = {
        "shortcut": shortcut,
        "conv": conv,
        "se_ratio": se_ratio,
        "zero_init_residual": zero_init_residual,
        "antialias": antialias,
        **conv_norm_act,
    }
    if block == "bottleneck":
        residual |= {"stride_on": stride_on, "groups": groups, "base_width": base_width}
    if checks.boolean("preactivation", preactivation):
        residual["conv_bias"] = conv_bias
    make_block = BLOCKS[block, preactivation]

    side = None if not include_top else 32 if stem == "cifar" else 224
    image = image_input(input_tensor, input_shape, (side, side, 3))
    x = with_stem(
        prepared(image, head),
        stem,
        filters[0],
        bare=preactivation,
        conv_bias=conv_bias,
        antialias=antialias,
        **conv_norm_act,
    )
    rates = iter(linear_rates(drop_path, sum(depths)))
    for place in _places(depths, STEMS[stem].stride, stride_at, output_stride):
        layer = make_block(
            filters[place.stage - 1],
            place.stride,
            dilation=place.dilation,
            first_dilation=place.first_dilation,
            drop_path=next(rates),
            name=place.name,
            **residual,
        )
        x = Remat(layer, name=place.name)(x) if remat else layer(x)
    if preactivation:
        x = _activated(x, activation, epsilon, momentum)
    model = model_of(input_tensor, image, with_head(x, head), name, head)
    return trained.loaded(model, include_top)


BLOCKS: dict[tuple[str, bool], Callable[..., keras.layers.Layer]] = {
    ("basic", False): BasicBlock,
    ("basic", True): PreactivationBasicBlock,
    ("bottleneck", False): Bottleneck,
    ("bottleneck", True): PreactivationBottleneck,
}


class _Place(NamedTuple):
    """Where a block stands, counted from 1, and what that asks of it."""

    stage: int
    block: int
    stride: int
    dilation: int
    first_dilation: int

    @property
    def name(self) -> str:
        return naming.block(self.stage, self.block)


def _places(
    depths: Sequence[int], stride: int, stride_at: str, output_stride: int | None
) -> Iterator[_Place]:
    """The place of each block behind a stem of the given stride."""
    dilation = 1
    for stage, depth in enumerate(depths, start=1):
        # Up to where it would have its stride, a dilated stage reads the map of the one before.
        before, strides = dilation, [1] * depth
        if stage > 1 and output_stride is not None and 2 * stride > output_stride:
            dilation *= 2
        elif stage > 1:
            stride *= 2
            strides[0] = 2 if stride_at == "first" else 1
        if stride_at == "last" and stage < len(depths):
            strides[-1] = 2
        for number in range(1, depth + 1):
            first = before if number == 1 else dilation
            yield _Place(stage, number, strides[number - 1], dilation, first)


def _activated(x: Any, activation: activations.Activation, epsilon: float, momentum: float) -> Any:
    """The batch norm and activation that end a network of pre-activated blocks."""
    x = BatchNormalization(epsilon=epsilon, momentum=momentum, name=f"{naming.HEAD}_bn")(x)
    last = activations.make(activation, name=f"{naming.HEAD}_act")
    return x if last is None else last(x)
