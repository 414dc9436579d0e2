"""The residual networks that have a name, a row for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import keras

from keras_bottleneck import checks
from keras_bottleneck.layers import activation as activations
from keras_bottleneck.models.assembly import shape_of_images
from keras_bottleneck.models.resnet import ResNet
from keras_bottleneck.models.trained import following

Shape = Sequence[int | None] | None


@dataclass(frozen=True)
class Variant:
    """A published network.

    Attributes:
        name: Name of its builder.
        title: What it is called, and by whom.
        parameters: Trainable ones, with as many classes as its builder has by default.
        block: `ResNet`'s argument.
        depths: `ResNet`'s argument.
        settings: Other arguments of `ResNet` that make it this network; a caller's go before.
        classes: Those of the images that it was made for.
    """

    name: str
    title: str
    parameters: int
    block: str
    depths: tuple[int, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    classes: int = 1000


class Builder(Protocol):
    """What builds a variant: `keras.applications`' arguments, then those of `ResNet`."""

    __name__: str

    def __call__(
        self,
        include_top: bool = True,
        weights: Any = None,
        input_tensor: Any = None,
        input_shape: Shape = None,
        pooling: str | None = None,
        classes: int = ...,
        classifier_activation: activations.Activation = "softmax",
        name: str = ...,
        **architecture: Any,
    ) -> keras.Model:
        """Build the network."""


VARIANTS: dict[str, Variant] = {}


def builder_of(variant: Variant) -> Builder:
    """The function that builds `variant`, which is entered into `VARIANTS`."""

    def build(
        include_top: bool = True,
        weights: Any = None,
        input_tensor: Any = None,
        input_shape: Shape = None,
        pooling: str | None = None,
        classes: int = variant.classes,
        classifier_activation: activations.Activation = "softmax",
        name: str = variant.name.lower(),
        **architecture: Any,
    ) -> keras.Model:
        asked = {**variant.settings, **architecture}
        trained = following(
            variant.name,
            weights,
            classes if include_top else None,
            shape_of_images(input_tensor, input_shape),
            asked,
        )
        top = (include_top, None, input_tensor, input_shape, pooling, classes)
        model = ResNet(
            variant.block,
            variant.depths,
            *top,
            classifier_activation,
            name,
            **trained.architecture,
        )
        return trained.loaded(model, include_top)

    VARIANTS[variant.name] = variant
    build.__name__ = build.__qualname__ = variant.name
    build.__doc__ = (
        f"{variant.title}: {variant.parameters:,} trainable parameters with {variant.classes} "
        f"classes.\n\n    Arguments, and those that `architecture` takes: see `ResNet`. Example: "
        f"`model = {variant.name}(classes=10)`.\n    "
    )
    return build


def _row(
    name: str,
    title: str,
    parameters: int,
    depths: tuple[int, ...] = (3, 4, 6, 3),
    block: str = "bottleneck",
    **settings: Any,
) -> Builder:
    return builder_of(Variant(name, title, parameters, block, depths, settings))


# The depths of He et al. 2015, table 1.
D101 = (3, 4, 23, 3)
D152 = (3, 8, 36, 3)

# He et al. 2015; bottlenecks have their stride where torchvision has it.
ResNet18 = _row("ResNet18", "ResNet-18", 11_689_512, (2, 2, 2, 2), "basic")
ResNet34 = _row("ResNet34", "ResNet-34", 21_797_672, (3, 4, 6, 3), "basic")
ResNet50 = _row("ResNet50", "ResNet-50 v1.5", 25_557_032)
ResNet101 = _row("ResNet101", "ResNet-101 v1.5", 44_549_160, D101)
ResNet152 = _row("ResNet152", "ResNet-152 v1.5", 60_192_808, D152)
# He et al. 2016, as in keras.applications but for what `conv_bias` and `stride_at` say.
ResNet50V2 = _row("ResNet50V2", "ResNet-50 V2", 25_549_352, preactivation=True)
ResNet101V2 = _row("ResNet101V2", "ResNet-101 V2", 44_541_480, D101, preactivation=True)
ResNet152V2 = _row("ResNet152V2", "ResNet-152 V2", 60_185_128, D152, preactivation=True)
# He et al. 2018 ("Bag of tricks"), fig. 2, and Hu et al. 2018, as in timm.
ResNet50D = _row("ResNet50D", "ResNet-50-D", 25_576_264, stem="deep", shortcut="pool")
SEResNet50 = _row("SEResNet50", "SE-ResNet-50", 28_088_024, se_ratio=1 / 16)
# Xie et al. 2017 and Zagoruyko and Komodakis 2016, as in torchvision.
ResNeXt50_32x4d = _row("ResNeXt50_32x4d", "ResNeXt-50 32x4d", 25_028_904, groups=32, base_width=4)
ResNeXt101_32x8d = _row(
    "ResNeXt101_32x8d", "ResNeXt-101 32x8d", 88_791_336, D101, groups=32, base_width=8
)
ResNeXt101_64x4d = _row(
    "ResNeXt101_64x4d", "ResNeXt-101 64x4d", 83_455_272, D101, groups=64, base_width=4
)
WideResNet50_2 = _row("WideResNet50_2", "Wide ResNet-50-2", 68_883_240, base_width=128)
WideResNet101_2 = _row("WideResNet101_2", "Wide ResNet-101-2", 126_886_696, D101, base_width=128)

# He et al. 2015, section 4.2: 6n + 2 layers for images of 32 x 32 pixels.
CIFAR = {"filters": (16, 32, 64), "stem": "cifar", "shortcut": "pad"}


def _cifar_row(depth: int, parameters: int) -> Builder:
    title = f"ResNet-{depth} for small images"
    depths = ((depth - 2) // 6,) * 3
    return builder_of(Variant(f"ResNet{depth}", title, parameters, "basic", depths, CIFAR, 10))


ResNet20 = _cifar_row(20, 269_722)
ResNet32 = _cifar_row(32, 464_154)
ResNet44 = _cifar_row(44, 658_586)
ResNet56 = _cifar_row(56, 853_018)
ResNet110 = _cifar_row(110, 1_727_962)
ResNet1202 = _cifar_row(1202, 19_421_274)


def CIFARResNet(
    depth: int,
    include_top: bool = True,
    weights: Any = None,
    input_tensor: Any = None,
    input_shape: Shape = None,
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation: activations.Activation = "softmax",
    name: str | None = None,
    **architecture: Any,
) -> keras.Model:
    """A network for small images of any depth (He et al. 2015, section 4.2).

    Args:
        depth: Layers with weights: 6n + 2, for n basic blocks in each of three stages.
        include_top: As `ResNet`.
        weights: As `ResNet`.
        input_tensor: As `ResNet`.
        input_shape: As `ResNet`.
        pooling: As `ResNet`.
        classes: As `ResNet`.
        classifier_activation: As `ResNet`.
        name: By default `"resnet"` and the depth.
        **architecture: Other arguments of `ResNet`.

    Raises:
        ValueError: If `depth` is not 6n + 2, and as `ResNet`.

    Example:
        >>> CIFARResNet(depth=14, classes=5).output_shape
        (None, 5)
    """
    blocks, rest = divmod(checks.integer("depth", depth) - 2, 6)
    if blocks < 1 or rest:
        raise checks.reject("depth", depth, "6n + 2: 8, 14, 20, ...")
    return ResNet(
        "basic",
        (blocks,) * 3,
        include_top,
        weights,
        input_tensor,
        input_shape,
        pooling,
        classes,
        classifier_activation,
        name or f"resnet{depth}",
        **{**CIFAR, **architecture},
    )
