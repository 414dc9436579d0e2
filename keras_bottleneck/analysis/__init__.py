"""What a network costs, how it trains, and where it will run."""

from keras_bottleneck.analysis.blocks import BlockComparison, BlockCost, compare_blocks
from keras_bottleneck.analysis.cost import CostReport, LayerCost, cost

__all__ = [
    "BlockComparison",
    "BlockCost",
    "CostReport",
    "LayerCost",
    "compare_blocks",
    "cost",
]
