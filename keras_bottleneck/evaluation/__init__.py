"""How right answers are: measured once, for exports, benchmarks, `evaluate` and pages alike."""

from keras_bottleneck.evaluation.answers import Answers
from keras_bottleneck.evaluation.evaluate import EvaluationReport, evaluate
from keras_bottleneck.evaluation.metrics import METRICS, Metric
from keras_bottleneck.evaluation.results import ClassResult, Evaluation, Mistake, NumberResult

__all__ = [
    "METRICS",
    "Answers",
    "ClassResult",
    "Evaluation",
    "EvaluationReport",
    "Metric",
    "Mistake",
    "NumberResult",
    "evaluate",
]
