"""The table of an evaluation: a row for each class, label or number."""

from collections.abc import Sequence

from keras_bottleneck.evaluation.results import ClassResult, NumberResult
from keras_bottleneck.tasks import CLASSIFICATION, REGRESSION

# Classes that are shown.
SHOWN = 20


def rows(
    task: str, classes: Sequence[ClassResult], numbers: Sequence[NumberResult]
) -> list[tuple[str, ...]]:
    """The headings, then a row for each class or label, the worst first, or for each number.

    Example:
        >>> rows("regression", (), [NumberResult("age", 2.5, 0.9)])
        [('number', 'images', 'mean absolute error', 'R2'), ('age', '', '2.5', '0.900')]
    """
    if task == REGRESSION:
        figures = ((one.label, "", f"{one.mae:.4g}", f"{one.r2:.3f}") for one in numbers)
        return [("number", "images", "mean absolute error", "R2"), *figures]
    is_single = task == CLASSIFICATION
    name, last = ("class", "most often taken for") if is_single else ("label", "F1")
    table: list[tuple[str, ...]] = [(name, "images", "recall", "precision", last)]
    worst = sorted(classes, key=lambda result: result.recall if is_single else result.f1)
    for result in worst[:SHOWN]:
        precision = "" if result.precision is None else f"{result.precision:.1%}"
        end = (result.taken_for or "") if is_single else f"{result.f1:.1%}"
        table.append((result.label, str(result.images), f"{result.recall:.1%}", precision, end))
    if len(worst) > SHOWN:
        table.append((f"and {len(worst) - SHOWN} better ones", "", "", "", ""))
    return table
