"""The networks that can be built by name alone, for command lines and menus: a row for each.

The table needs neither Keras nor NumPy, so that it can be shown at once.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keras_bottleneck.console import Printable
from keras_bottleneck.published import DEFAULT, Published, rows_of

# What most classifiers were made for; those of 10 classes were made for CIFAR's images.
IMAGENET_SIZE = 224
CIFAR_SIZE = 32


@dataclass(frozen=True)
class Network:
    """A network with a name.

    Attributes:
        name: Name of its builder.
        title: What it is called, and by whom.
        parameters: Trainable ones, with as many classes as its builder has by default.
        image_size: Side in pixels of the images that it was made for.
        builder: What builds it; None for the public function `name` of this package.
    """

    name: str
    title: str
    parameters: int
    image_size: int = IMAGENET_SIZE
    builder: Callable[..., Any] | None = None

    @property
    def published(self) -> tuple[Published, ...]:
        """What is known of the trained weights that can be downloaded."""
        return () if self.builder is not None else rows_of(self.name)

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Their names, which the builder takes as `weights`, `"imagenet"` for the default first."""
        named = tuple(row.name for row in self.published)
        return (DEFAULT, *named) if named else ()

    @property
    def build(self) -> Callable[..., Any]:
        """Its builder, with the arguments of `keras.applications`."""
        if self.builder is not None:
            return self.builder
        public: Callable[..., Any] = getattr(importlib.import_module("keras_bottleneck"), self.name)
        return public


ROWS = (
    Network("ResNet18", "ResNet-18", 11_689_512),
    Network("ResNet34", "ResNet-34", 21_797_672),
    Network("ResNet50", "ResNet-50 v1.5", 25_557_032),
    Network("ResNet101", "ResNet-101 v1.5", 44_549_160),
    Network("ResNet152", "ResNet-152 v1.5", 60_192_808),
    Network("ResNet50V2", "ResNet-50 V2", 25_549_352),
    Network("ResNet101V2", "ResNet-101 V2", 44_541_480),
    Network("ResNet152V2", "ResNet-152 V2", 60_185_128),
    Network("ResNet50D", "ResNet-50-D", 25_576_264),
    Network("SEResNet50", "SE-ResNet-50", 28_088_024),
    Network("ResNeXt50_32x4d", "ResNeXt-50 32x4d", 25_028_904),
    Network("ResNeXt101_32x8d", "ResNeXt-101 32x8d", 88_791_336),
    Network("ResNeXt101_64x4d", "ResNeXt-101 64x4d", 83_455_272),
    Network("WideResNet50_2", "Wide ResNet-50-2", 68_883_240),
    Network("WideResNet101_2", "Wide ResNet-101-2", 126_886_696),
    Network("ResNet20", "ResNet-20 for small images", 269_722, CIFAR_SIZE),
    Network("ResNet32", "ResNet-32 for small images", 464_154, CIFAR_SIZE),
    Network("ResNet44", "ResNet-44 for small images", 658_586, CIFAR_SIZE),
    Network("ResNet56", "ResNet-56 for small images", 853_018, CIFAR_SIZE),
    Network("ResNet110", "ResNet-110 for small images", 1_727_962, CIFAR_SIZE),
    Network("ResNet1202", "ResNet-1202 for small images", 19_421_274, CIFAR_SIZE),
    Network("MobileNetV2", "MobileNetV2 1.0", 3_504_872),
    Network("CSPDarknet", "CSPDarknet of YOLOv5s", 4_027_560),
)
NETWORKS: dict[str, Network] = {row.name: row for row in ROWS}


@dataclass(frozen=True)
class Catalogue(Printable):
    """What `catalogue` returns; printing it shows a table.

    Attributes:
        networks: The `Network`s, in the order of `NETWORKS`.
    """

    networks: tuple[Network, ...]

    def __rich__(self) -> Any:
        from rich.table import Table

        table = Table(title=f"{len(self.networks)} networks")
        table.add_column("model", no_wrap=True)
        table.add_column("parameters", justify="right", no_wrap=True)
        table.add_column("what it is")
        table.add_column("trained weights, top-1", no_wrap=True)
        table.add_column("needs")
        for network in self.networks:
            weights, needs = _listed(network.published)
            table.add_row(network.name, f"{network.parameters:,}", network.title, weights, needs)
        return table


def _listed(rows: tuple[Published, ...]) -> tuple[str, str]:
    """A line for each row and for what it needs; other widths and sizes are counted."""
    usual = [row for row in rows if (row.alpha, row.image_size) == (1.0, rows[0].image_size)]
    weights = [f"{row.name} {row.top1:.1f}%" for row in usual]
    if more := len(rows) - len(usual):
        weights.append(f"{more} of other widths, sizes")
    return "\n".join(weights), "\n".join(row.needs for row in usual)


def catalogue() -> Catalogue:
    """The networks that can be built by name, with their sizes and their trained weights.

    Example:
        >>> catalogue().networks[0].name
        'ResNet18'
    """
    return Catalogue(tuple(NETWORKS.values()))
