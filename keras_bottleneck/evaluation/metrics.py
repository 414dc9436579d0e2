"""The figures of an evaluation: one row each."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from keras_bottleneck.evaluation.answers import Array
from keras_bottleneck.evaluation.results import Evaluation

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
    if probabilities is None or truth is None or probabilities.shape[-1] <= TOP:
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
    return float(-np.log(np.maximum(_of_the_truth(probabilities, truth), TINY)).mean())


def _of_the_truth(probabilities: Array, truth: Array) -> Array:
    return np.take_along_axis(probabilities, truth[..., None].astype(np.intp), -1)


def _error(evaluation: Evaluation) -> float | None:
    if evaluation.reference is None:
        return None
    answers, reference = evaluation.answers, evaluation.reference
    error = difference(answers.outputs, reference.outputs, answers.output_name)
    return error if np.isfinite(error) else None


def _agreement(evaluation: Evaluation) -> float | None:
    classes = evaluation.answers.classes
    if classes is None or evaluation.reference is None:
        return None
    return float(np.mean(classes == evaluation.reference.classes))


METRICS = {
    "top1": Metric("top-1", _top1, "{:.1%}".format),
    "top5": Metric("top-5", _top5, "{:.1%}".format),
    "loss": Metric("loss", _loss, "{:.4f}".format),
    "error": Metric("error", _error, "{:.0e}".format),
    "agreement": Metric("agreement", _agreement, "{:.1%}".format),
}
