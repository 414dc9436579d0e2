"""What our layers are called, and which part of a network a name says they belong to."""

import re

BLOCK = re.compile(r"stage(?P<stage>\d+)_block(?P<block>\d+)_(?P<layer>.+)")
# The convolutions before the first block and behind the last.
ENDS = re.compile(r"(stem\d?|head)_(conv|bn|act)")
HEAD = "predictions"
STEM = "stem_conv"


# Keras 2 gave the kernel of a depthwise convolution a name of its own.
RENAMED = {"depthwise_kernel": "kernel"}


def own_name(name: str) -> str:
    """Layer and variable of the name of a tensor, as Keras 3 calls them.

    `block/layer/depthwise_kernel:0` is `layer/kernel`; a name without a slash stays as it is.
    """
    if "/" not in name:
        return name
    *_, layer, variable = name.split("/")
    variable = variable.partition(":")[0]
    return f"{layer}/{RENAMED.get(variable, variable)}"


def part_of(layer: str) -> str:
    """What `layer` belongs to, as far as it matters to what does not fit.

    Returns:
        `"stem"` for the first convolution, `"shortcut"`, `"trunk"`, or `"head"` for what follows
        the last feature map and for whatever a user has added.
    """
    if layer == STEM:
        return "stem"
    block = BLOCK.fullmatch(layer)
    if block is not None:
        return "shortcut" if block["layer"].startswith("shortcut") else "trunk"
    return "trunk" if ENDS.fullmatch(layer) else "head"
