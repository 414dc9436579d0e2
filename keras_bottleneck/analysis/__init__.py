"""What a network costs, how it trains, and where it will run."""

from keras_bottleneck.analysis.cost import CostReport, LayerCost, cost

__all__ = ["CostReport", "LayerCost", "cost"]
