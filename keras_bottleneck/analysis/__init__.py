"""What a network costs, how it trains, and where it will run."""

from keras_bottleneck.analysis.blocks import BlockComparison, BlockCost, compare_blocks
from keras_bottleneck.analysis.cost import CostReport, LayerCost, cost
from keras_bottleneck.analysis.gradient_flow import GradientFlow, GradientReport

__all__ = [
    "BlockComparison",
    "BlockCost",
    "CostReport",
    "GradientFlow",
    "GradientReport",
    "LayerCost",
    "compare_blocks",
    "cost",
]
