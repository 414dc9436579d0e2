"""What a network costs, how it trains, and where it will run."""

from keras_bottleneck.analysis.blocks import BlockComparison, BlockCost, compare_blocks
from keras_bottleneck.analysis.checking import CheckReport, Finding, check
from keras_bottleneck.analysis.cost import CostReport, LayerCost, cost
from keras_bottleneck.analysis.gradient_flow import GradientFlow, GradientReport
from keras_bottleneck.analysis.targets import TARGETS, Target
from keras_bottleneck.analysis.vela import VelaReport, vela
from keras_bottleneck.evaluation import ClassResult, EvaluationReport, evaluate

__all__ = [
    "TARGETS",
    "BlockComparison",
    "BlockCost",
    "CheckReport",
    "ClassResult",
    "CostReport",
    "EvaluationReport",
    "Finding",
    "GradientFlow",
    "GradientReport",
    "LayerCost",
    "Target",
    "VelaReport",
    "check",
    "compare_blocks",
    "cost",
    "evaluate",
    "vela",
]
