"""The figures of an evaluation: one row each."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import keras
import numpy as np

from keras_bottleneck.evaluation.answers import Array
from keras_bottleneck.evaluation.results import Evaluation
from keras_bottleneck.tasks import MULTI_LABEL, REGRESSION

TOP = 5
# A smaller probability counts as this one in the logarithm.
TINY = 1e-7


@dataclass(frozen=True)
class Metric:
    """One figure.

    Attributes:
        title: What people read.
        measure: The figure of an `Evaluation`; None where it has none, as without labels.
        text: The figure as it is written.
    """

    title: str
    measure: Callable[[Evaluation], float | None]
    text: Callable[[float], str]


def measured(evaluation: Evaluation, names: Iterable[str] | None = None) -> dict[str, float | None]:
    """The figures called `names`, by default all of `METRICS`.

    Example:
        >>> from keras_bottleneck.evaluation import Answers
        >>> answers = Answers(np.array([[0.2, 0.8], [0.6, 0.4]]), "probabilities")
        >>> measured(Evaluation(answers, np.array([1, 1])), ["top1"])
        {'top1': 0.5}
    """
    return {
        name: METRICS[name].measure(evaluation) for name in (METRICS if names is None else names)
    }


def written(figures: Mapping[str, float | None]) -> list[tuple[str, str]]:
    """The title and text of each of the `figures` that there is.

    Example:
        >>> written({"top1": 0.5, "top5": None})
        [('top-1', '50.0%')]
    """
    return [
        (METRICS[name].title, METRICS[name].text(value))
        for name, value in figures.items()
        if value is not None
    ]


def difference(outputs: Array, reference: Array, output_name: str) -> float:
    """The largest difference: absolute for probabilities, else as a part of the largest output.

    Outputs that are not finite, or of another shape, differ by infinity.
    """
    if outputs.shape != reference.shape or not np.isfinite(outputs).all():
        return float("inf")
    scale = 1.0 if output_name == "probabilities" else max(float(np.abs(reference).max()), 1e-9)
    return float(np.abs(outputs - reference).max()) / scale


def noise(outputs: Array, reference: Array, output_name: str) -> float:
    """The root mean square distance of a sample's (of a segmenter, a pixel's) outputs.

    Absolute for probabilities, as a part of the root mean square of the reference otherwise.
    Outputs that are not finite, or of another shape, differ by infinity.
    """
    if outputs.shape != reference.shape or not np.isfinite(outputs).all():
        return float("inf")
    count = reference[..., 0].size
    distance = np.sum((outputs - reference) ** 2, dtype=np.float64) / count
    power = np.sum(reference**2, dtype=np.float64) / count
    scale = 1.0 if output_name == "probabilities" else max(float(power), 1e-30)
    return float(np.sqrt(distance / scale))


def _top1(evaluation: Evaluation) -> float | None:
    classes, truth = evaluation.answers.classes, evaluation.truth
    return None if classes is None or truth is None else float(np.mean(classes == truth))


def _top5(evaluation: Evaluation) -> float | None:
    probabilities, truth = evaluation.answers.probabilities, evaluation.truth
    if evaluation.answers.classes is None or probabilities is None or truth is None:
        return None
    if probabilities.shape[-1] <= TOP:
        return None
    own = _of_the_truth(probabilities, truth)
    # Of equally probable classes, the first counts as the more probable one, as in a prediction.
    earlier = np.arange(probabilities.shape[-1]) < truth[..., None]
    before = (probabilities > own) | ((probabilities == own) & earlier)
    return float(np.mean(before.sum(-1) < TOP))


def _loss(evaluation: Evaluation) -> float | None:
    probabilities, truth = evaluation.answers.probabilities, evaluation.truth
    if probabilities is None or truth is None:
        return None
    if evaluation.answers.task == MULTI_LABEL:
        right = np.where(truth == 1, probabilities, 1 - probabilities)
        return float(-np.log(np.maximum(right, TINY)).mean())
    return float(-np.log(np.maximum(_of_the_truth(probabilities, truth), TINY)).mean())


def _of_the_truth(probabilities: Array, truth: Array) -> Array:
    return np.take_along_axis(probabilities, truth[..., None].astype(np.intp), -1)


def _balanced(evaluation: Evaluation) -> float | None:
    if evaluation.answers.classes is None or not evaluation.of_whole_images:
        return None
    return float(np.mean([result.recall for result in evaluation.by_class()]))


def _auc(evaluation: Evaluation) -> float | None:
    probabilities, truth = evaluation.answers.probabilities, evaluation.truth
    if not evaluation.of_whole_images or probabilities is None or truth is None:
        return None
    is_binary = evaluation.answers.classes is not None and probabilities.shape[-1] == 2
    if not is_binary or len(np.unique(truth)) < 2:
        return None
    return _area(probabilities[:, 1], truth, "ROC")


def _area(scores: Array, truth: Array, curve: str) -> float:
    """The area under a curve, by Keras.

    Keras counts scores in thresholds that are evenly spaced; ranks in place of the scores leave the
    curve as it is, and no two scores then lie between the same thresholds.
    """
    values, ranks = np.unique(scores, return_inverse=True)
    metric = keras.metrics.AUC(num_thresholds=2 * len(values) + 1, curve=curve)
    metric.update_state(truth, ranks / max(len(values) - 1, 1))
    return float(metric.result())


def _several(evaluation: Evaluation) -> tuple[Array, Array] | None:
    """The probabilities and the truth of several labels, (N, labels)."""
    probabilities, truth = evaluation.answers.probabilities, evaluation.truth
    if evaluation.answers.task != MULTI_LABEL or probabilities is None or truth is None:
        return None
    return probabilities, truth


def _label_accuracy(evaluation: Evaluation) -> float | None:
    if _several(evaluation) is None:
        return None
    return float(np.mean(evaluation.answers.decisions == evaluation.truth))


def _mean_average_precision(evaluation: Evaluation) -> float | None:
    given = _several(evaluation)
    if given is None:
        return None
    pairs = zip(given[0].T, given[1].T, strict=True)
    areas = [_area(scores, truth, "PR") for scores, truth in pairs if truth.any()]
    return float(np.mean(areas)) if areas else None


def _f1(evaluation: Evaluation) -> float | None:
    given = _several(evaluation)
    return None if given is None else float(np.mean([one.f1 for one in evaluation.by_class()]))


def _numbers(evaluation: Evaluation) -> tuple[Array, Array] | None:
    """The numbers that were answered and the true ones, (N, columns)."""
    if evaluation.answers.task != REGRESSION or evaluation.truth is None:
        return None
    return evaluation.answers.outputs, evaluation.truth


def _absolute_error(evaluation: Evaluation) -> float | None:
    given = _numbers(evaluation)
    return None if given is None else float(np.abs(given[0] - given[1]).mean())


def _r2(evaluation: Evaluation) -> float | None:
    given = _numbers(evaluation)
    if given is None or np.any(given[1].max(0) == given[1].min(0)):
        return None
    return float(np.mean([one.r2 for one in evaluation.by_number()]))


def _error(evaluation: Evaluation) -> float | None:
    if evaluation.reference is None:
        return None
    answers, reference = evaluation.answers, evaluation.reference
    error = difference(answers.outputs, reference.outputs, answers.output_name)
    return error if np.isfinite(error) else None


def _agreement(evaluation: Evaluation) -> float | None:
    decisions = evaluation.answers.decisions
    if decisions is None or evaluation.reference is None:
        return None
    return float(np.mean(decisions == evaluation.reference.decisions))


METRICS = {
    "top1": Metric("top-1", _top1, "{:.1%}".format),
    "top5": Metric("top-5", _top5, "{:.1%}".format),
    "balanced_accuracy": Metric("balanced accuracy", _balanced, "{:.1%}".format),
    "auc": Metric("ROC AUC", _auc, "{:.3f}".format),
    "label_accuracy": Metric("accuracy of the labels", _label_accuracy, "{:.1%}".format),
    "mean_average_precision": Metric(
        "mean average precision", _mean_average_precision, "{:.1%}".format
    ),
    "f1": Metric("mean F1", _f1, "{:.1%}".format),
    "mae": Metric("mean absolute error", _absolute_error, "{:.4g}".format),
    "r2": Metric("R2", _r2, "{:.3f}".format),
    "loss": Metric("loss", _loss, "{:.4f}".format),
    "error": Metric("error", _error, "{:.0e}".format),
    "agreement": Metric("agreement", _agreement, "{:.1%}".format),
}
