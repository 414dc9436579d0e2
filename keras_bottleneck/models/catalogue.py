"""The networks that can be built by name alone, for command lines and menus."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from keras_bottleneck.models import variants
from keras_bottleneck.models.csp_darknet import CSPDarknet
from keras_bottleneck.models.mobilenet_v2 import MobileNetV2
from keras_bottleneck.models.variants import VARIANTS
from keras_bottleneck.printing import Printable
from keras_bottleneck.weights import CHECKPOINTS

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
        checkpoints: The names of its checkpoints, which its builder takes as `weights`.
        build: Its builder, with the arguments of `keras.applications`.
    """

    name: str
    title: str
    parameters: int
    image_size: int
    checkpoints: tuple[str, ...]
    build: Callable[..., keras.Model]


def _network(build: Any, title: str, parameters: int, image_size: int = IMAGENET_SIZE) -> Network:
    name = build.__name__
    checkpoints = tuple(row.name for row in CHECKPOINTS if row.model == name)
    return Network(name, title, parameters, image_size, checkpoints, build)


NETWORKS: dict[str, Network] = {
    network.name: network
    for network in (
        *(
            _network(
                getattr(variants, row.name),
                row.title,
                row.parameters,
                CIFAR_SIZE if row.classes == 10 else IMAGENET_SIZE,
            )
            for row in VARIANTS.values()
        ),
        _network(MobileNetV2, "MobileNetV2 1.0", 3_504_872),
        _network(CSPDarknet, "CSPDarknet of YOLOv5s", 4_027_560),
    )
}


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
        table.add_column("trained weights")
        for network in self.networks:
            weights = ", ".join(network.checkpoints)
            table.add_row(network.name, f"{network.parameters:,}", network.title, weights)
        return table


def catalogue() -> Catalogue:
    """The networks that can be built by name, with their sizes and their trained weights.

    Example:
        >>> catalogue().networks[0].name
        'ResNet18'
    """
    return Catalogue(tuple(NETWORKS.values()))
