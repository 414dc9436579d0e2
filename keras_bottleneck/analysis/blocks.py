"""The classic comparison of blocks: what a bottleneck saves, counted on real layers."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import keras

from keras_bottleneck import checks
from keras_bottleneck.analysis.cost import cost
from keras_bottleneck.console import Printable
from keras_bottleneck.layers import BasicBlock, Bottleneck, ConvNormAct, InvertedResidual

# The reduction of ResNet's bottleneck (He et al. 2015, fig. 5).
REDUCTION = 4

# Channels that enter and leave, and the expansion of inverted residuals -> the block. The first
# is what the others are compared with; another block is one row.
BLOCKS: dict[str, Callable[[int, int], keras.layers.Layer]] = {
    "two 3x3": lambda channels, expansion: BasicBlock(channels),
    "bottleneck": lambda channels, expansion: Bottleneck(
        channels // REDUCTION, expansion=REDUCTION
    ),
    "single 3x3": lambda channels, expansion: ConvNormAct(channels, 3),
    "inverted residual": lambda channels, expansion: InvertedResidual(
        channels, expansion=expansion
    ),
}


@dataclass(frozen=True)
class BlockCost:
    """One block with as many channels in as out.

    Attributes:
        block: Its name.
        weights: Of its convolutions, batch norm apart.
        parts: The name of each convolution in the block, and its weights.
        share: `weights` as a part of those of the first block.
        macs: Multiply-accumulates for one image.
        peak: The most activations that exist at the same time.
    """

    block: str
    weights: int
    parts: tuple[tuple[str, int], ...]
    share: float
    macs: int
    peak: int


@dataclass(frozen=True)
class BlockComparison(Printable):
    """What blocks cost; printing it shows a table.

    Attributes:
        channels: Those that enter and leave each block.
        size: (height, width) of the image.
        blocks: One `BlockCost` each.
    """

    channels: int
    size: tuple[int, int]
    blocks: tuple[BlockCost, ...]

    def __getitem__(self, block: str) -> BlockCost:
        """The block called `block`."""
        by_name = {block.block: block for block in self.blocks}
        if block not in by_name:
            raise KeyError(f"{block!r}: this comparison has {', '.join(by_name)}")
        return by_name[block]

    def to_dict(self) -> dict[str, Any]:
        """All figures, as JSON can hold them."""
        return {
            "channels": self.channels,
            "size": list(self.size),
            "blocks": [
                {**asdict(block), "parts": [list(part) for part in block.parts]}
                for block in self.blocks
            ],
        }

    def __rich__(self) -> Any:
        from rich.table import Table

        height, width = self.size
        table = Table(title=f"Blocks of {self.channels} channels on {height} x {width} pixels")
        table.add_column("block")
        table.add_column("convolutions")
        for heading in ("weights", "share", "MACs", "peak"):
            table.add_column(heading, justify="right")
        for block in self.blocks:
            parts = "\n".join(f"{name} {weights:,}" for name, weights in block.parts)
            figures = (
                f"{block.weights:,}",
                f"{block.share:.1%}",
                f"{block.macs:,}",
                f"{block.peak:,}",
            )
            table.add_row(block.block, parts, *figures)
        return table


def compare_blocks(
    channels: int, size: int | Sequence[int] = 56, *, expansion: int = 6
) -> BlockComparison:
    """Count blocks that take and return an image of `channels` channels.

    Two 3x3 convolutions and the bottleneck are those of He et al. 2015, fig. 5; the inverted
    residual is that of Sandler et al. 2018. The last is often quoted with the weights of its
    depthwise convolution alone (9,216 at 256 channels and expansion 4): its two 1x1
    convolutions are most of it.

    Args:
        channels: A multiple of 4, by which the bottleneck reduces them.
        size: Height and width of the image in pixels; one integer for both.
        expansion: Of the inverted residual.

    Returns:
        A `BlockComparison`: print it, or ask for `["bottleneck"].weights`, `.macs`, `.share`.

    Raises:
        ValueError: For an argument out of range.

    Example:
        >>> comparison = compare_blocks(256)
        >>> [block.weights for block in comparison.blocks]
        [1179648, 69632, 589824, 800256]
        >>> comparison["inverted residual"].parts
        (('expand_conv', 393216), ('depthwise_conv', 13824), ('project_conv', 393216))
    """
    if checks.integer("channels", channels) % REDUCTION:
        raise checks.reject("channels", channels, f"a multiple of {REDUCTION}")
    height, width = checks.size("size", size)
    expansion = checks.integer("expansion", expansion)
    rows = [
        _counted(name, make(channels, expansion), (height, width, channels))
        for name, make in BLOCKS.items()
    ]
    whole = rows[0].weights
    return BlockComparison(
        channels, (height, width), tuple(replace(row, share=row.weights / whole) for row in rows)
    )


def _counted(name: str, block: keras.layers.Layer, shape: tuple[int, int, int]) -> BlockCost:
    """What `block` costs, compared with itself."""
    report = cost(keras.Sequential([keras.Input(shape), block]))
    # Convolutions before a batch norm have no bias: their parameters are their kernels.
    parts = tuple(
        (layer.name.removeprefix(f"{block.name}_"), layer.parameters)
        for layer in report.layers
        if layer.macs
    )
    return BlockCost(
        block=name,
        weights=sum(weights for _, weights in parts),
        parts=parts,
        share=1.0,
        macs=report.macs,
        peak=report.peak.live,
    )
