"""`evaluate`: how well an artifact of any kind classifies a folder of images."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_bottleneck import checks, runtime
from keras_bottleneck.data import ImageData, image_folder
from keras_bottleneck.printing import Printable
from keras_bottleneck.progress import track
from keras_bottleneck.runtime.classes import class_probabilities

TOP = 5
SHOWN = 20
# Below, a probability counts as this in the logarithm.
TINY = 1e-7

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class ClassResult:
    """How the images of one class were classified.

    Attributes:
        label: The class.
        images: How many images it has.
        recall: The part of them that was found to be of it.
        precision: The part, of all images that were found to be of it, that are; None of none.
        taken_for: The class that its other images were most often taken for; None without such.
    """

    label: str
    images: int
    recall: float
    precision: float | None
    taken_for: str | None


@dataclass(frozen=True)
class EvaluationReport(Printable):
    """What `evaluate` measured; printing it shows a table, the worst classes first.

    Attributes:
        path: The artifact.
        data: The folder of images.
        subset: Which part of it.
        images: How many images that is.
        top1: The part whose most probable class is theirs.
        top5: The part that has its class among the five most probable; None where there are no more
            than five.
        loss: Mean cross-entropy, in nats.
        classes: One `ClassResult` for each class of the folder.
    """

    path: Path
    data: Path
    subset: str
    images: int
    top1: float
    top5: float | None
    loss: float
    classes: tuple[ClassResult, ...]

    def __rich__(self) -> Any:
        from rich.table import Table

        part = "all" if self.subset == "both" else f"the {self.subset} part"
        table = Table(title=f"{self.path.name} on {part} of {self.data.name}")
        table.add_column("class", overflow="fold")
        for heading in ("images", "recall", "precision"):
            table.add_column(heading, justify="right")
        table.add_column("most often taken for", overflow="fold")
        worst = sorted(self.classes, key=lambda one: one.recall)[:SHOWN]
        for one in worst:
            precision = "" if one.precision is None else f"{one.precision:.1%}"
            row = (one.label, str(one.images), f"{one.recall:.1%}", precision)
            table.add_row(*row, one.taken_for or "")
        if len(self.classes) > SHOWN:
            table.add_row(f"and {len(self.classes) - SHOWN} better ones", "", "", "", "")
        table.add_section()
        table.add_row("top-1", str(self.images), f"{self.top1:.1%}", "", "")
        if self.top5 is not None:
            table.add_row("top-5", "", f"{self.top5:.1%}", "", "")
        table.add_row("loss", "", f"{self.loss:.4f}", "", "")
        return table


def evaluate(
    path: str | Path,
    data: str | os.PathLike[str],
    *,
    subset: str = "validation",
    seed: int = 0,
    batch_size: int = 32,
    threads: int | None = None,
) -> EvaluationReport:
    """Classify a folder of images with an artifact in its own runtime, and compare.

    Args:
        path: What `runtime.load` opens: a .keras, .tflite or .onnx file or a SavedModel, with its
            preprocessing in it.
        data: Folder with one sub-folder of images for each class. Without labels in the artifact,
            its classes are taken for those of the folder, in alphabetical order.
        subset: "validation", the part that `data.image_folder` leaves for it with the same `seed`;
            "train"; or "both" for all images.
        seed: The one that the network was trained with.
        batch_size: Images that are read at a time.
        threads: As for `runtime.load`.

    Returns:
        An `EvaluationReport`: top-1, top-5, loss, and figures for each class.

    Raises:
        ValueError: If an argument is wrong, the artifact is no classifier of images that knows its
            preprocessing, or the folder has classes that it does not know.

    Example:
        >>> report = evaluate("exported/flowers_int8.tflite", "flowers")  # doctest: +SKIP
        >>> report.top1  # doctest: +SKIP
        0.93
    """
    predictor = runtime.load(path, threads)
    if predictor.preprocessing is None:
        accepted = "an artifact that says how images become its input"
        raise checks.reject("path", str(path), accepted)
    images = image_folder(
        data,
        batch_size=batch_size,
        subset=subset,
        seed=seed,
        preprocessing=predictor.preprocessing,
    )
    probabilities, found = _classified(predictor, images, Path(data).name)
    labels = predictor.labels or images.class_names
    truth = _positions(images.class_names, labels, probabilities.shape[1])[found]
    ranked = np.argsort(-probabilities, axis=1, kind="stable")
    hits = ranked[:, :TOP] == truth[:, None]
    own = probabilities[np.arange(len(truth)), truth]
    return EvaluationReport(
        path=Path(path),
        data=Path(data),
        subset=subset,
        images=len(truth),
        top1=float(hits[:, 0].mean()),
        top5=float(hits.any(1).mean()) if probabilities.shape[1] > TOP else None,
        loss=float(-np.log(np.maximum(own, TINY)).mean()),
        classes=_by_class(truth, ranked[:, 0], labels),
    )


def _classified(predictor: runtime.Predictor, images: ImageData, name: str) -> tuple[Array, Array]:
    """Probabilities (N, classes), and the classes of the folder (N,)."""
    parts = [part for part in (images.train, images.validation) if part is not None]
    batches = [len(part) for part in parts]
    rows, labels = [], []
    for batch, truth in track(
        (pair for part in parts for pair in part.as_numpy_iterator()),
        sum(batches),
        f"evaluate on {name}",
    ):
        outputs = predictor.run(batch)
        if predictor.output_name == "features" or outputs.ndim != 2:
            raise checks.reject("path", str(predictor.path), "a classifier of whole images")
        rows.append(class_probabilities(outputs, predictor.output_name))
        labels.append(truth)
    return np.concatenate(rows), np.concatenate(labels)


def _positions(folder: Sequence[str], labels: Sequence[str], outputs: int) -> Array:
    """The output of each class of the folder."""
    foreign = sorted(set(folder) - set(labels))
    if foreign:
        raise ValueError(
            f"`data` must have classes of the artifact only ({_listed(labels)}). "
            f"Received: {_listed(foreign)}"
        )
    if len(labels) != outputs:
        raise ValueError(
            f"`data` must have the {outputs} classes of the artifact, which does not name them. "
            f"Received: {len(labels)} classes"
        )
    place = {label: index for index, label in enumerate(labels)}
    return np.array([place[name] for name in folder])


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:TOP])
    return shown if len(names) <= TOP else f"{shown}, ... {len(names)} in all"


def _by_class(truth: Array, answers: Array, labels: Sequence[str]) -> tuple[ClassResult, ...]:
    results = []
    for index in np.unique(truth).tolist():
        own = answers[truth == index]
        named = answers == index
        wrong = own[own != index]
        results.append(
            ClassResult(
                label=labels[index],
                images=len(own),
                recall=float((own == index).mean()),
                precision=float((truth[named] == index).mean()) if named.any() else None,
                taken_for=labels[int(np.bincount(wrong).argmax())] if len(wrong) else None,
            )
        )
    return tuple(results)
