"""`evaluate`: how well a model or an artifact of any kind classifies images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_bottleneck import checks, runtime, trained_model
from keras_bottleneck.console import Printable, track
from keras_bottleneck.data import ImageData, samples
from keras_bottleneck.data.for_models import folder_in, images_for
from keras_bottleneck.evaluation.answers import Answers, Array
from keras_bottleneck.evaluation.labels import check_labels
from keras_bottleneck.evaluation.metrics import measured, written
from keras_bottleneck.evaluation.results import ClassResult, Evaluation, NumberResult
from keras_bottleneck.evaluation.rows import rows
from keras_bottleneck.graph.rebuild import functional
from keras_bottleneck.runtime import flipping
from keras_bottleneck.runtime.predictor import Predictor
from keras_bottleneck.tasks import CLASSIFICATION, REGRESSION, checked_task
from keras_bottleneck.trained_model import TrainedModel

# Names in an error.
NAMED = 5
SUBSETS = ("train", "validation", "test", "both")


@dataclass(frozen=True)
class EvaluationReport(Printable):
    """What `evaluate` measured; printing it shows a table, the worst classes first.

    Attributes:
        path: The artifact; None for a Keras model in memory.
        data: The folder of images; None for other data.
        subset: Which part of it.
        images: How many images that is.
        top1: The part whose most probable class is theirs; None for other tasks.
        top5: The part that has its class among the five most probable; None where there are no more
            than five.
        loss: Mean cross-entropy, in nats; None for a regression.
        classes: One `ClassResult` for each class of the data, or for each label.
        figures: Every row of `evaluation.METRICS` that could be measured; those above are of them.
        numbers: One `NumberResult` for each number of a regression.
        task: "classification", "multi-label" or "regression".
        flipped: The same with flips, where they were asked for.
    """

    path: Path | None
    data: Path | None
    subset: str
    images: int
    top1: float | None
    top5: float | None
    loss: float | None
    classes: tuple[ClassResult, ...]
    figures: dict[str, float] = field(default_factory=dict)
    numbers: tuple[NumberResult, ...] = ()
    task: str = CLASSIFICATION
    flipped: dict[str, float] | None = None

    def __rich__(self) -> Any:
        from rich.table import Table

        model = "The model" if self.path is None else self.path.name
        part = "all" if self.subset == "both" else f"the {self.subset} part"
        on = f"{self.images} images" if self.data is None else f"{part} of {self.data.name}"
        table = Table(title=f"{model} on {on}")
        headings, *lines = rows(self.task, self.classes, self.numbers)
        table.add_column(headings[0], overflow="fold")
        for heading in headings[1:]:
            table.add_column(heading, justify="right")
        for line in lines:
            table.add_row(*line)
        table.add_section()
        images = str(self.images)
        flipped = dict(written(self.flipped or {}))
        empty = [""] * (len(headings) - 4)
        for title, text in written(self.figures):
            beside = f"with flips: {flipped[title]}" if title in flipped else ""
            table.add_row(title, images, text, *empty, beside)
            images = ""
        return table


def evaluate(
    path: str | Path | keras.Model,
    data: Any,
    *,
    subset: str | None = None,
    seed: int = 0,
    batch_size: int = 32,
    threads: int | None = None,
    task: str | None = None,
    tta: str | None = None,
) -> EvaluationReport:
    """Run a model, or an artifact in its own runtime, on images, and compare with their labels.

    Args:
        path: What `runtime.load` opens: a .keras, .tflite or .onnx file, a SavedModel, or the
            folder of an export or a run. Or a Keras model.
        data: Folder as `data.image_folder` takes it; `ImageData`; or a dataset of batches (images,
            labels), or such arrays, as the model takes them. Without labels in the artifact, its
            classes are taken for those of the folder, in alphabetical order.
        subset: "test", the test part of a folder; "validation", its validation part, or what
            `data.image_folder` leaves for it with the same `seed`; "train"; or "both" for all
            images. None for the test part where there is one, and the validation elsewhere. Of
            `ImageData`, its parts; other data have none.
        seed: The one that the network was trained with.
        batch_size: Images of a folder that are read at a time.
        threads: As for `runtime.load`.
        task: "classification", "multi-label" or "regression"; None for what the file says, or the
            loss or last layer of a Keras model.
        tta: "flip" also measures the mean of the probabilities of each image and of its mirror
            image, which `runtime.load(..., tta="flip")` gives.

    Returns:
        An `EvaluationReport`: figures of the whole, and of each class, label or number.

    Raises:
        ValueError: If an argument is wrong, the artifact is no classifier of images, or does not
            say how those of a folder become its input, or the data have classes that it does not
            know.

    Example:
        >>> report = evaluate("exported/flowers_int8.tflite", "flowers")  # doctest: +SKIP
        >>> report.top1  # doctest: +SKIP
        0.93
    """
    if subset is not None:
        checks.one_of("subset", subset, SUBSETS)
    checked_task(task)
    flipping.checked(tta)
    model, name = _opened(path, threads)
    given = folder_in(data)
    folder = None if given is None else given.path
    if given is not None:
        # It may have some classes only of those that the model knows: see `_outputs_of`.
        data = images_for(model.preprocessing, None, given, seed=seed, batch_size=batch_size)
    if subset is None:
        subset = "test" if isinstance(data, ImageData) and data.test else "validation"
    title = f"evaluate {name}" if folder is None else f"evaluate on {folder.name}"
    task = task or model.task
    answer = partial(_answers, model, task)
    evaluation = _evaluated(model, name, answer, data, subset, task, title)
    figures = _figures(evaluation)
    flipped = None
    if tta is not None:
        twice = partial(_answers_to_both, answer)
        flipped = _figures(
            _evaluated(model, name, twice, data, subset, task, f"{title}, with flips")
        )
    return EvaluationReport(
        path=Path(path) if isinstance(path, (str, Path)) else None,
        data=folder,
        subset=subset,
        images=evaluation.images,
        top1=figures.get("top1"),
        top5=figures.get("top5"),
        loss=figures.get("loss"),
        classes=evaluation.by_class(),
        figures=figures,
        numbers=evaluation.by_number(),
        task=evaluation.answers.task,
        flipped=flipped,
    )


def _figures(evaluation: Evaluation) -> dict[str, float]:
    found = measured(evaluation)
    return {name: value for name, value in found.items() if value is not None}


def _opened(model: Any, threads: int | None) -> tuple[Predictor | TrainedModel, str]:
    """The model that `model` names, and what errors call it: a path, or the name of a Keras model.

    Raises:
        ValueError: If it is no artifact, or a Keras model with several inputs or outputs.
        ImportError: If the runtime's package is not installed.
    """
    if not isinstance(model, keras.Model):
        predictor = runtime.load(model, threads)
        if not predictor.single:
            accepted = "an artifact with one input and one output"
            raise checks.reject("path", str(predictor.path), accepted)
        return predictor, str(predictor.path)
    if threads is not None:
        raise checks.reject("threads", threads, "None for a Keras model")
    whole = functional(model)
    if len(whole.inputs) != 1 or len(whole.outputs) != 1:
        raise checks.reject("path", model.name, "a Keras model with one input and one output")
    return trained_model.opened(model), model.name


def _answers(model: Predictor | TrainedModel, task: str, images: Array) -> Answers:
    return Answers(model.run(images), model.output_name, task)


def _answers_to_both(answer: Callable[[Array], Answers], images: Array) -> Answers:
    """The mean of the probabilities (or numbers) of images and of their mirror images."""
    straight = answer(images)

    turned = answer(flipping.mirrored(images))
    if straight.probabilities is None or turned.probabilities is None:
        return straight.like_these(flipping.mean(straight.outputs, turned.outputs))
    mean = flipping.mean(straight.probabilities, turned.probabilities)
    return Answers(mean, "probabilities", straight.task)


def _evaluated(
    model: Predictor | TrainedModel,
    name: str,
    answer: Callable[[Array], Answers],
    data: Any,
    subset: str,
    task: str,
    title: str,
) -> Evaluation:
    """The answers to all of `data`, whose images are read batch by batch."""
    parts, length = [data], None
    names: tuple[str, ...] | None = None
    if isinstance(data, ImageData):
        if data.task != task:
            raise checks.reject("data", f"images for {data.task}", f"images for {task}")
        parts, names = _parts(data, subset), data.class_names
        length = sum(map(len, parts))
    streams = (samples.stream("data", part, model.input_shape, task=task) for part in parts)
    answered: list[Answers] = []
    truth: list[Array] = []
    for images, labels in track(chain.from_iterable(streams), length, title):
        if labels is None:
            raise checks.reject("data", "images alone", "images with labels")
        answers = answer(images)
        columns = _columns(answers, name, model.labels)
        answered.append(answers)
        if task == CLASSIFICATION and names is None:
            check_labels(labels, columns)
        elif task != CLASSIFICATION and labels.shape[1] != columns:
            accepted = f"rows of {columns} labels, one for each output"
            raise checks.reject("data", f"rows of {labels.shape[1]}", accepted)
        if names is not None:
            places = _outputs_of(names, model.labels, columns)
            labels = places[labels] if task == CLASSIFICATION else labels[:, places.argsort()]
        truth.append(labels)
    if not answered:
        raise checks.reject("data", "no samples", "images with labels, at least one")
    answers = answered[0].like_these(np.concatenate([one.outputs for one in answered]))
    return Evaluation(answers, np.concatenate(truth), labels=model.labels or names)


def _columns(answers: Answers, name: str, labels: Sequence[str] | None) -> int:
    """How many classes, labels or numbers answers have.

    Raises:
        ValueError: If they are not those of whole images, or `labels` are of another number.
    """
    outputs = answers.outputs if answers.task == REGRESSION else answers.probabilities
    if outputs is None or outputs.ndim != 2:
        raise checks.reject("path", name, "a classifier of whole images")
    if labels is not None and len(labels) != outputs.shape[1]:
        accepted = f"an artifact with one label for each of its {outputs.shape[1]} classes"
        raise checks.reject("path", name, accepted)
    return int(outputs.shape[1])


def _parts(data: ImageData, subset: str) -> list[Any]:
    everything = {"train": data.train, "validation": data.validation, "test": data.test}
    wanted = list(everything.values()) if subset == "both" else [everything[subset]]
    parts = [part for part in wanted if part is not None]
    if not parts:
        raise checks.reject("subset", subset, "a part that `data` has")
    return parts


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
