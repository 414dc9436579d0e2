"""What the parts of this package's networks are called: stems, stages, blocks, head, classifier.

Files of weights, fine-tuning and decoders know a part by its name. The names are written and
read here only, for whole networks and for those that `graph.flatten` has made of them, whose
layers have the name of their block before their own.
"""

import re
from typing import NamedTuple

STEM = "stem"
# The last convolution or batch norm before the pooling: it still makes feature maps.
HEAD = "head"
CLASSIFIER = "predictions"
# Weights of the first convolution depend on the number of channels of the images.
FIRST_CONVOLUTION = f"{STEM}_conv"

_BLOCK = re.compile(r"stage(?P<stage>\d+)_block(?P<block>\d+)_(?P<layer>.+)")
_STAGE = re.compile(rf"({STEM}|stage\d+|{HEAD})(?=_|$)")
_FEATURE_MAP = re.compile(rf"{STEM}(?!_pool)|stage\d+(?=_block)")
_ENDS = re.compile(rf"({STEM}\d?|{HEAD})_(conv|bn|act)")


class InBlock(NamedTuple):
    """The place of a layer: its stage and block, counted from 1, and its name in the block."""

    stage: int
    block: int
    layer: str


def stem(number: int = 1) -> str:
    """The name of a convolution of the stem, counted from 1; the first has no number."""
    return STEM if number == 1 else f"{STEM}{number}"


def in_stage(stage: int, layer: str) -> str:
    """The name of a layer of a stage that belongs to no block."""
    return f"stage{stage}_{layer}"


def block(stage: int, number: int) -> str:
    """The name of a block; both are counted from 1.

    Example:
        >>> block(2, 1)
        'stage2_block1'
    """
    return f"stage{stage}_block{number}"


def in_block(layer: str) -> InBlock | None:
    """Where `layer` is inside a block; None where it is in none.

    Example:
        >>> in_block("stage2_block1_reduce_conv")
        InBlock(stage=2, block=1, layer='reduce_conv')
    """
    match = _BLOCK.fullmatch(layer)
    return None if match is None else InBlock(int(match[1]), int(match[2]), match[3])


def stage_of(layer: str) -> str | None:
    """The stem, stage or head to which `layer` belongs; None where its name does not tell.

    Example:
        >>> stage_of("stem_conv"), stage_of("stage2_block1"), stage_of("predictions")
        ('stem', 'stage2', None)
    """
    match = _STAGE.match(layer)
    return match[0] if match else None


def is_stage(name: str) -> bool:
    """Whether `name`, of those that `stage_of` returns, is that of a stage between stem and head.

    Networks of others have stems and heads, too.
    """
    return name not in (STEM, HEAD)


def feature_map_of(layer: str) -> str | None:
    """The stem or stage of whose feature map `layer` is a part; None where it is of none.

    The pooling behind a stem, and what brings a map to the size of the next stage, are of none.
    """
    match = _FEATURE_MAP.match(layer)
    return match[0] if match else None


def part_of(layer: str) -> str:
    """What `layer` belongs to, as far as it decides whether weights fit.

    Returns:
        `"stem"` for the first convolution, `"shortcut"`, `"trunk"`, or `"head"` for what follows
        the last feature map and for whatever a user has added.
    """
    if layer == FIRST_CONVOLUTION:
        return "stem"
    place = in_block(layer)
    if place is not None:
        return "shortcut" if place.layer.startswith("shortcut") else "trunk"
    return "trunk" if _ENDS.fullmatch(layer) else "head"
