"""The residual networks that have a name, a row for each."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, Protocol

import keras

from keras_bottleneck import checks
from keras_bottleneck.models.assembly import shape_of_images
from keras_bottleneck.models.resnet import ResNet
from keras_bottleneck.models.trained import following
from keras_bottleneck.networks import NETWORKS

P = ParamSpec("P")
# Builds a network of any blocks: its first arguments are the block and the depths.
General = Callable[Concatenate[str, Sequence[int], P], keras.Model]


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


VARIANTS: dict[str, Variant] = {}


def builder_of(general: General[P], variant: Variant) -> Callable[P, keras.Model]:
    """The function that builds `variant`, which is entered into `VARIANTS`.

    Its arguments are those of `general` behind the block and the depths, its defaults those of
    the variant.
    """
    name, whole = variant.name, _without_types(general)
    defaults = {"classes": variant.classes, "name": name.lower(), **variant.settings}
    signature = _signature_behind_depths(general, defaults)

    def build(*args: P.args, **kwargs: P.kwargs) -> keras.Model:
        call = _bound(name, signature, args, kwargs)
        given = {**variant.settings, **call.arguments}
        call.apply_defaults()
        include_top, classes, weights, input_tensor, input_shape = (
            call.arguments[argument]
            for argument in ("include_top", "classes", "weights", "input_tensor", "input_shape")
        )
        trained = following(
            name,
            weights,
            classes if include_top else None,
            shape_of_images(input_tensor, input_shape),
            given,
        )
        arguments = {**defaults, **trained.architecture, "weights": None}
        return trained.loaded(whole(variant.block, variant.depths, **arguments), include_top)

    VARIANTS[name] = variant
    summary = (
        f"{variant.title}: {variant.parameters:,} trainable parameters with {variant.classes} "
        "classes."
    )
    if NETWORKS[name].published:
        summary += (
            f"\n\n    `weights` may also be one of `weights.names({name!r})`, which arguments that "
            "are left out follow."
        )
    doc = _documentation(summary, "", f"`model = {name}(classes=10)`")
    return _presented(build, name, signature, doc)


def _without_types(general: General[P]) -> Callable[..., keras.Model]:
    """`general`, for calls with arguments that are collected as they come."""
    return general


def _signature_behind_depths(general: General[P], defaults: Mapping[str, Any]) -> inspect.Signature:
    """The signature of `general` without the block and the depths, with other `defaults`."""
    whole = inspect.signature(general)
    _, _, *shared = whole.parameters.values()
    return whole.replace(
        parameters=[
            parameter.replace(default=defaults.get(parameter.name, parameter.default))
            for parameter in shared
        ]
    )


def _bound(
    name: str, signature: inspect.Signature, args: Any, kwargs: Any
) -> inspect.BoundArguments:
    """The arguments of a call of the builder `name`.

    Raises:
        TypeError: If the builder has no such arguments.
    """
    try:
        return signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{name}() {error}") from None


def _documentation(summary: str, before: str, example: str) -> str:
    """A docstring with the arguments that are described in that of `ResNet`."""
    _, _, shared = (ResNet.__doc__ or "").partition("        include_top:")
    shared, _, _ = shared.partition("    Example:")
    arguments = f"    Args:\n{before}        include_top:{shared}"
    return f"{summary}\n\n{arguments}    Example:\n        {example}\n    "


def _presented(build: Any, name: str, signature: inspect.Signature, doc: str) -> Any:
    """`build` under the name, and with the arguments and the text, that `help` shows."""
    build.__name__ = build.__qualname__ = name
    build.__signature__ = signature
    # For `typing.get_type_hints`, which reads these and not the signature.
    hints = {each.name: each.annotation for each in signature.parameters.values()}
    build.__annotations__ = {**hints, "return": signature.return_annotation}
    build.__doc__ = doc
    return build


def _row(
    general: General[P],
    name: str,
    depths: tuple[int, ...] = (3, 4, 6, 3),
    block: str = "bottleneck",
    **settings: Any,
) -> Callable[P, keras.Model]:
    row = NETWORKS[name]
    return builder_of(general, Variant(name, row.title, row.parameters, block, depths, settings))


# The depths of He et al. 2015, table 1.
D101 = (3, 4, 23, 3)
D152 = (3, 8, 36, 3)

# He et al. 2015; bottlenecks have their stride where torchvision has it.
ResNet18 = _row(ResNet, "ResNet18", (2, 2, 2, 2), "basic")
ResNet34 = _row(ResNet, "ResNet34", (3, 4, 6, 3), "basic")
ResNet50 = _row(ResNet, "ResNet50")
ResNet101 = _row(ResNet, "ResNet101", D101)
ResNet152 = _row(ResNet, "ResNet152", D152)
# He et al. 2016, as in keras.applications but for what `conv_bias` and `stride_at` say.
ResNet50V2 = _row(ResNet, "ResNet50V2", preactivation=True)
ResNet101V2 = _row(ResNet, "ResNet101V2", D101, preactivation=True)
ResNet152V2 = _row(ResNet, "ResNet152V2", D152, preactivation=True)
# He et al. 2018 ("Bag of tricks"), fig. 2, and Hu et al. 2018, as in timm.
ResNet50D = _row(ResNet, "ResNet50D", stem="deep", shortcut="pool")
SEResNet50 = _row(ResNet, "SEResNet50", se_ratio=1 / 16)
# Xie et al. 2017 and Zagoruyko and Komodakis 2016, as in torchvision.
ResNeXt50_32x4d = _row(ResNet, "ResNeXt50_32x4d", groups=32, base_width=4)
ResNeXt101_32x8d = _row(ResNet, "ResNeXt101_32x8d", D101, groups=32, base_width=8)
ResNeXt101_64x4d = _row(ResNet, "ResNeXt101_64x4d", D101, groups=64, base_width=4)
WideResNet50_2 = _row(ResNet, "WideResNet50_2", base_width=128)
WideResNet101_2 = _row(ResNet, "WideResNet101_2", D101, base_width=128)

# He et al. 2015, section 4.2: 6n + 2 layers for images of 32 x 32 pixels.
CIFAR = {"filters": (16, 32, 64), "stem": "cifar", "shortcut": "pad"}


def _cifar_row(general: General[P], depth: int) -> Callable[P, keras.Model]:
    row = NETWORKS[f"ResNet{depth}"]
    depths = ((depth - 2) // 6,) * 3
    variant = Variant(row.name, row.title, row.parameters, "basic", depths, CIFAR, 10)
    return builder_of(general, variant)


ResNet20 = _cifar_row(ResNet, 20)
ResNet32 = _cifar_row(ResNet, 32)
ResNet44 = _cifar_row(ResNet, 44)
ResNet56 = _cifar_row(ResNet, 56)
ResNet110 = _cifar_row(ResNet, 110)
ResNet1202 = _cifar_row(ResNet, 1202)


class OfAnyDepth(Protocol[P]):
    """Builds a network for small images: its first argument is the number of layers."""

    def __call__(self, depth: int, *args: P.args, **kwargs: P.kwargs) -> keras.Model:
        """Build the network."""


def _of_any_depth(general: General[P]) -> OfAnyDepth[P]:
    whole = _without_types(general)
    shared = _signature_behind_depths(general, {"classes": 10, "name": None, **CIFAR})

    def build(depth: int, *args: P.args, **kwargs: P.kwargs) -> keras.Model:
        given = _bound("CIFARResNet", shared, args, kwargs).arguments
        blocks, rest = divmod(checks.integer("depth", depth) - 2, 6)
        if blocks < 1 or rest:
            raise checks.reject("depth", depth, "6n + 2: 8, 14, 20, ...")
        name = given.pop("name", None) or f"resnet{depth}"
        arguments = {"classes": 10, **CIFAR, **given, "name": name}
        return whole("basic", (blocks,) * 3, **arguments)

    first = inspect.Parameter("depth", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=int)
    signature = shared.replace(parameters=[first, *shared.parameters.values()])
    doc = _documentation(
        "A network for small images of any depth (He et al. 2015, section 4.2).\n\n"
        '    `name` is by default `"resnet"` and the depth, and `depth` must be 6n + 2.',
        "        depth: Layers with weights: 6n + 2, for n basic blocks in each of three stages.\n",
        ">>> CIFARResNet(depth=14, classes=5).output_shape\n        (None, 5)",
    )
    return _presented(build, "CIFARResNet", signature, doc)


CIFARResNet = _of_any_depth(ResNet)
