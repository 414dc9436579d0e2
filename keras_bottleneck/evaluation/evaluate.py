"""`evaluate`: how well a model or an artifact of any kind classifies images."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_bottleneck import checks, samples
from keras_bottleneck.data import ImageData, image_folder
from keras_bottleneck.evaluation.answers import Answers, Array
from keras_bottleneck.evaluation.labels import check_labels
from keras_bottleneck.evaluation.metrics import measured, written
from keras_bottleneck.evaluation.opening import Opened, opened
from keras_bottleneck.evaluation.results import ClassResult, Evaluation
from keras_bottleneck.printing import Printable
from keras_bottleneck.progress import track
from keras_bottleneck.runtime import flipping

if TYPE_CHECKING:
    import keras

# Classes in the printed table, and names in an error.
SHOWN, NAMED = 20, 5
SUBSETS = ("train", "validation", "both")


@dataclass(frozen=True)
class EvaluationReport(Printable):
    """What `evaluate` measured; printing it shows a table, the worst classes first.

    Attributes:
        path: The artifact; None for a Keras model in memory.
        data: The folder of images; None for other data.
        subset: Which part of it.
        images: How many images that is.
        top1: The part whose most probable class is theirs.
        top5: The part that has its class among the five most probable; None where there are no more
            than five.
        loss: Mean cross-entropy, in nats.
        classes: One `ClassResult` for each class of the data.
        figures: Every row of `evaluation.METRICS` that could be measured; those above are of them.
        flipped: The same with flips, where they were asked for.
    """

    path: Path | None
    data: Path | None
    subset: str
    images: int
    top1: float
    top5: float | None
    loss: float
    classes: tuple[ClassResult, ...]
    figures: dict[str, float] = field(default_factory=dict)
    flipped: dict[str, float] | None = None

    def __rich__(self) -> Any:
        from rich.table import Table

        model = "The model" if self.path is None else self.path.name
        part = "all" if self.subset == "both" else f"the {self.subset} part"
        on = f"{self.images} images" if self.data is None else f"{part} of {self.data.name}"
        table = Table(title=f"{model} on {on}")
        table.add_column("class", overflow="fold")
        for heading in ("images", "recall", "precision"):
            table.add_column(heading, justify="right")
        table.add_column("most often taken for", overflow="fold")
        worst = sorted(self.classes, key=lambda result: result.recall)[:SHOWN]
        for result in worst:
            precision = "" if result.precision is None else f"{result.precision:.1%}"
            row = (result.label, str(result.images), f"{result.recall:.1%}", precision)
            table.add_row(*row, result.taken_for or "")
        if len(self.classes) > SHOWN:
            table.add_row(f"and {len(self.classes) - SHOWN} better ones", "", "", "", "")
        table.add_section()
        images = str(self.images)
        flipped = dict(written(self.flipped or {}))
        for title, text in written(self.figures):
            beside = f"with flips: {flipped[title]}" if title in flipped else ""
            table.add_row(title, images, text, "", beside)
            images = ""
        return table


def evaluate(
    path: "str | Path | keras.Model",
    data: Any,
    *,
    subset: str = "validation",
    seed: int = 0,
    batch_size: int = 32,
    threads: int | None = None,
    tta: str | None = None,
) -> EvaluationReport:
    """Classify images with a model or with an artifact in its own runtime, and compare.

    Args:
        path: What `runtime.load` opens: a .keras, .tflite or .onnx file, a SavedModel, or the
            folder of an export or a run. Or a Keras model.
        data: Folder with one sub-folder of images for each class; `ImageData`; or a dataset of
            batches (images, labels), or such arrays, as the model takes them. Without labels in
            the artifact, its classes are taken for those of the folder, in alphabetical order.
        subset: "validation", the part of a folder that `data.image_folder` leaves for it with the
            same `seed`; "train"; or "both" for all images. Of `ImageData`, its parts; other data
            have none.
        seed: The one that the network was trained with.
        batch_size: Images of a folder that are read at a time.
        threads: As for `runtime.load`.
        tta: "flip" also measures the mean of the probabilities of each image and of its mirror
            image, which `runtime.load(..., tta="flip")` gives.

    Returns:
        An `EvaluationReport`: top-1, top-5, loss, and figures for each class.

    Raises:
        ValueError: If an argument is wrong, the artifact is no classifier of images, or does not
            say how those of a folder become its input, or the data have classes that it does not
            know.

    Example:
        >>> report = evaluate("exported/flowers_int8.tflite", "flowers")  # doctest: +SKIP
        >>> report.top1  # doctest: +SKIP
        0.93
    """
    flipping.checked(tta)
    model = opened(path, threads)
    folder = Path(data) if isinstance(data, (str, os.PathLike)) else None
    if folder is not None:
        data = _read_folder(model, folder, subset, seed, batch_size)
    title = f"evaluate {model.name}" if folder is None else f"evaluate on {folder.name}"
    evaluation = _evaluated(model, data, checks.one_of("subset", subset, SUBSETS), title)
    figures = _figures(evaluation)
    flipped = None
    if tta is not None:
        flipped = _figures(_evaluated(_looking_twice(model), data, subset, f"{title}, with flips"))
    return EvaluationReport(
        path=Path(path) if isinstance(path, (str, Path)) else None,
        data=folder,
        subset=subset,
        images=evaluation.images,
        top1=figures["top1"],
        top5=figures.get("top5"),
        loss=figures["loss"],
        classes=evaluation.by_class(),
        figures=figures,
        flipped=flipped,
    )


def _figures(evaluation: Evaluation) -> dict[str, float]:
    found = measured(evaluation)
    return {name: value for name, value in found.items() if value is not None}


def _looking_twice(model: Opened) -> Opened:
    """`model`, which answers with the mean of an image's and its mirror image's probabilities."""

    def once(batch: Array) -> Array:
        answers = Answers(model.run(batch), model.output_name)
        return answers.outputs if answers.probabilities is None else answers.probabilities

    name = model.output_name if model.output_name == "features" else "probabilities"
    return replace(model, run=lambda batch: flipping.mean_of_both(once, batch), output_name=name)


def _read_folder(model: Opened, folder: Path, subset: str, seed: int, batch_size: int) -> ImageData:
    if model.preprocessing is None:
        accepted = "an artifact that says how images become its input"
        raise checks.reject("path", model.name, accepted)
    return image_folder(
        folder,
        batch_size=batch_size,
        subset=subset,
        seed=seed,
        preprocessing=model.preprocessing,
    )


def _evaluated(model: Opened, data: Any, subset: str, title: str) -> Evaluation:
    """The answers to all of `data`, whose images are read batch by batch."""
    parts, length = [data], None
    names: tuple[str, ...] | None = None
    if isinstance(data, ImageData):
        parts, names = _parts(data, subset), data.class_names
        length = sum(map(len, parts))
    streams = (samples.stream("data", part, model.input_shape) for part in parts)
    outputs: list[Array] = []
    truth: list[Array] = []
    for images, labels in track(chain.from_iterable(streams), length, title):
        if labels is None:
            raise checks.reject("data", "images alone", "images with labels")
        answers = Answers(model.run(images), model.output_name)
        if answers.classes is None or answers.classes.ndim != 1:
            raise checks.reject("path", model.name, "a classifier of whole images")
        classes = len(Evaluation(answers).names)
        if model.labels is not None and len(model.labels) != classes:
            accepted = f"an artifact with one label for each of its {classes} classes"
            raise checks.reject("path", model.name, accepted)
        outputs.append(answers.outputs)
        if names is None:
            check_labels(labels, classes)
            truth.append(labels)
        else:
            truth.append(_outputs_of(names, model.labels, classes)[labels])
    if not outputs:
        raise checks.reject("data", "no samples", "images with labels, at least one")
    answers = Answers(np.concatenate(outputs), model.output_name)
    return Evaluation(answers, np.concatenate(truth), labels=model.labels or names)


def _parts(data: ImageData, subset: str) -> list[Any]:
    wanted = {"train": [data.train], "validation": [data.validation]}
    parts = wanted.get(subset, [data.train, data.validation])
    found = [part for part in parts if part is not None]
    if not found:
        raise checks.reject("subset", subset, "a part that `data` has")
    return found


def _outputs_of(folder: Sequence[str], labels: Sequence[str] | None, outputs: int) -> Array:
    """The output of each class of a folder; `labels` are those of the artifact, if it has any."""
    labels = labels or folder
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
    shown = ", ".join(names[:NAMED])
    return shown if len(names) <= NAMED else f"{shown}, ... {len(names)} in all"
