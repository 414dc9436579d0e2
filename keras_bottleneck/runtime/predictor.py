"""An opened artifact that takes images and gives labels."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_bottleneck.checks import integer, meant, reject
from keras_bottleneck.preprocessing import Preprocessing, pixels
from keras_bottleneck.runtime import flipping
from keras_bottleneck.runtime.heads import Head, Named, Prediction
from keras_bottleneck.runtime.kinds import Runtime
from keras_bottleneck.runtime.metadata import Metadata
from keras_bottleneck.runtime.ports import Feed, Input, Output, joined, meaning_of
from keras_bottleneck.tasks import CLASSIFICATION

# Bounds the memory that preprocessed images and activations take, however many images are given.
IMAGES_PER_BATCH = 32

__all__ = ["Named", "Prediction", "Predictor"]

# Of an output that neither classifies images nor gives numbers: its values for one image.
Answer = Prediction | np.ndarray


class Predictor:
    """An artifact ready to predict; `keras_bottleneck.runtime.load` makes one.

    Threads may share it, and get what they would get one after the other. Those that share a
    .tflite file take turns: let the calls have several CPUs with `load(path, threads=...)`, or load
    the file once for each thread, at the memory of one more interpreter.

    Attributes:
        path: The file or folder; of the folder of an export, the file in it that was opened.
        metadata: What the artifact carries about itself, or None.
        inputs: What it takes, an `Input` each: name, shape, type, and whether it is an image.
        outputs: What it gives, an `Output` each: name, shape, type, meaning and labels.
        labels: The names of the classes, labels or numbers in the order of the outputs, or None;
            of several outputs each has its own, in `outputs`.
        task: "classification", "multi-label" or "regression"; each of several outputs has its own.
        preprocessing: How an image becomes model input, or None.
        input_shape: The shape of the image that it takes, with None for free dimensions; (N, H, W,
            C).
        input_name: The model's own name of that input.
        output_name: "probabilities" or "logits" from the metadata; else the model's own name; of
            several outputs, the name of the first.
        tta: "flip", if each image is also looked at in a mirror; else None.

    Example:
        >>> predictor = load("model.tflite")  # doctest: +SKIP
        >>> predictor("cat.jpg", top=2)  # doctest: +SKIP
        [('cat', 0.93), ('fox', 0.04)]
        >>> load("two_heads.onnx")("cat.jpg", top=1)  # doctest: +SKIP
        {'age': 3.2, 'kind': [('cat', 0.93)]}
    """

    def __init__(
        self, path: Path, runtime: Runtime, metadata: Metadata | None, tta: str | None = None
    ):
        self.path = path
        self.tta = tta
        self.metadata = metadata
        self.labels: tuple[str, ...] | None = None
        self.task = CLASSIFICATION
        self.preprocessing: Preprocessing | None = None
        self._runtime = runtime
        self.inputs = _inputs(path, runtime, metadata)
        self.outputs = _outputs(path, runtime, metadata)
        image = next((port for port in self.inputs if port.image), self.inputs[0])
        self.input_shape = image.shape
        self.input_name = image.name
        self.output_name = self.outputs[0].name
        if metadata is not None:
            self.labels = metadata.labels
            self.preprocessing = metadata.preprocessing
            self.task = metadata.task
            if not metadata.outputs:
                self.output_name = metadata.output_name
        self._heads = {output.name: self._head(output) for output in self.outputs}
        self._check_preprocessing()

    def __repr__(self) -> str:
        return f"<Predictor {str(self.path)!r} {self.input_shape} -> {self.output_name}>"

    def __call__(
        self, images: Any, top: int = 5
    ) -> Answer | dict[str, Answer] | list[Answer] | list[dict[str, Answer]]:
        """What the model says of images: classes, labels or numbers.

        Args:
            images: One image (path, bytes of a file, PIL image, or uint8 or float array (H, W) or
                (H, W, C) of pixel values 0..255), a list of images of any sizes, or an array
                (N, H, W, C). For a model of several inputs, a dict by their names: of images, or
                for what is no image an array of its shape, with N in front for many.
            top: How many classes or labels; all where there are fewer.

        Returns:
            For one image, the `top` most probable classes as (label, probability), best first; of
            a model of several labels, these with the probability of each; of a regression, a float,
            or (name, number) pairs in the order of the outputs where there are several. A list of
            such for a list or an (N, H, W, C) array.
            Of a model with several outputs, a dict by their names of the same; of those that are
            neither, such as features, a float32 array.
            Without labels in the metadata, a class is called by its index: "0", "1", ... A model
            that ends in one linear output and has no labels is taken for a regression.

        Raises:
            ValueError: If `top` or an image is not as described, or the model is none of whole
                images.
        """
        count = integer("top", top)
        answers, many = self._answers(images)
        if len(self.outputs) == 1:
            (head,), (values,) = self._heads.values(), answers.values()
            found: list[Answer] = []
            found += head.predictions(values, count, head.gives_numbers(values))
            return found if many else found[0]
        named = {name: self._said(name, values, count) for name, values in answers.items()}
        rows = [dict(zip(named, row, strict=True)) for row in zip(*named.values(), strict=True)]
        return rows if many else rows[0]

    def probabilities(self, images: Any) -> Any:
        """Probabilities of shape (N, classes), float32, for what a call accepts.

        Those of a segmenter that this package has exported are (N, height, width, classes). Of a
        model with several outputs, a dict of those that classify.
        Images go through the stored preprocessing; without one they must have the model's size
        already, and their values are passed on as they are. Outputs named "logits" go through a
        softmax (of a multi-label model, a sigmoid), all others are taken as they are. A single
        output is taken for that of the second of two classes.

        Raises:
            ValueError: If an image is not as described, or the model is no classifier.
        """
        answers, _ = self._answers(images)
        if len(self.outputs) == 1:
            (head,), (values,) = self._heads.values(), answers.values()
            if head.gives_numbers(values):
                raise head.no_classifier()
            return values
        found = {
            name: values for name, values in answers.items() if self._heads[name].classifies(values)
        }
        if not found:
            raise self._heads[self.outputs[0].name].no_classifier()
        return found

    def run(self, batch: Any) -> Any:
        """The model's raw outputs, float32, for an already preprocessed float `batch`.

        Args:
            batch: Float array of the model's `input_shape`; N is free whatever the file says. Of
                several inputs, a dict of such arrays by name.

        Returns:
            An array (N, ...); of a model with several outputs, a dict of such by name.

        Raises:
            ValueError: If `batch` is not a float array of that shape, or has no samples.

        Example:
            >>> batch = np.zeros((3, 224, 224, 3), np.float32)
            >>> load("model.onnx").run(batch).shape  # doctest: +SKIP
            (3, 1000)
        """
        return self.run_feed(self._checked_feed(batch)).single

    def run_feed(self, feed: Feed) -> Feed:
        """The raw outputs for a feed of float arrays of the shapes of `inputs`."""
        floats = {name: np.ascontiguousarray(one, np.float32) for name, one in feed.items()}
        return self._runtime.run(Feed(floats))

    @property
    def single(self) -> bool:
        """Whether the model has one input and one output."""
        return len(self.inputs) == len(self.outputs) == 1

    def gives_numbers(self, outputs: np.ndarray) -> bool:
        """Whether `outputs`, of a model with a single one, are numbers: see `Head`."""
        return self._heads[self.outputs[0].name].gives_numbers(outputs)

    def _answers(self, images: Any) -> tuple[Feed, bool]:
        """The probabilities, numbers or values for what a call accepts; and whether it is many."""
        given = self._by_input(images)
        many = {port.name: self._is_many(port, given[port.name]) for port in self.inputs}
        if len(set(many.values())) > 1:
            one, *_, several = sorted(many, key=lambda name: many[name])
            raise reject("images", f"one {one!r} and several {several!r}", "as many of each input")
        listed = {name: one if many[name] else [one] for name, one in given.items()}
        counts = {name: len(values) for name, values in listed.items()}
        if not min(counts.values()):
            raise reject("images", images, "one image or more")
        if len(set(counts.values())) > 1:
            raise reject("images", counts, "as many of each input")
        starts = range(0, min(counts.values()), IMAGES_PER_BATCH)
        batches = (self._batch(listed, slice(i, i + IMAGES_PER_BATCH)) for i in starts)
        return joined(map(self._answered, batches)), any(many.values())

    def _by_input(self, images: Any) -> dict[str, Any]:
        names = [port.name for port in self.inputs]
        if len(names) == 1 and not (isinstance(images, Mapping) and set(images) == set(names)):
            return {names[0]: images}
        accepted = f"a dict with the inputs {', '.join(names)}"
        if not isinstance(images, Mapping):
            raise reject("images", type(images).__name__, accepted)
        for name in images:
            if name not in names:
                raise reject("images", name, accepted + meant(str(name), names))
        if len(images) < len(names):
            raise reject("images", sorted(map(str, images)), accepted)
        return dict(images)

    def _is_many(self, port: Input, values: Any) -> bool:
        if port.image or len(self.inputs) == 1:
            return _is_many(values)
        return np.ndim(values) >= len(port.shape)

    def _batch(self, listed: dict[str, Any], part: slice) -> Feed:
        return Feed(
            {
                port.name: np.stack([self._prepared(port, one) for one in listed[port.name][part]])
                for port in self.inputs
            }
        )

    def _answered(self, feed: Feed) -> Feed:
        straight = self._once(feed)
        if self.tta is None:
            return straight
        images = [port.name for port in self.inputs if port.image] or [self.input_name]
        turned = {
            name: flipping.mirrored(values) if name in images else values
            for name, values in feed.items()
        }
        other = self._once(Feed(turned))
        return Feed({name: flipping.mean(straight[name], other[name]) for name in straight})

    def _once(self, feed: Feed) -> Feed:
        outputs = self.run_feed(feed)
        if len(outputs) == 1:
            (head,) = self._heads.values()
            return Feed({name: head.answers(values) for name, values in outputs.items()})
        return Feed({name: self._told(name, values) for name, values in outputs.items()})

    def _told(self, name: str, values: np.ndarray) -> np.ndarray:
        head = self._heads[name]
        return head.answers(values) if head.classifies(values) else values

    def _said(self, name: str, values: np.ndarray, top: int) -> Sequence[Answer]:
        head = self._heads[name]
        numbers = head.gives_numbers(values)
        if numbers or head.classifies(values):
            return head.predictions(values, top, numbers)
        return list(values)

    def _head(self, output: Output) -> Head:
        if self.metadata is None:
            name = output.name
        elif self.metadata.outputs:
            name = output.meaning
        else:
            name = self.metadata.output_name
        described = self.metadata is not None
        return Head(self.path, name, output.task, output.labels, described)

    def _checked_feed(self, batch: Any) -> Feed:
        given = self._by_input(batch)
        checked = {port.name: self._checked(port, given[port.name]) for port in self.inputs}
        counts = {name: len(values) for name, values in checked.items()}
        if len(set(counts.values())) > 1:
            raise reject("batch", counts, "as many samples of each input")
        return Feed(checked)

    def _checked(self, port: Input, values: Any) -> np.ndarray:
        array = np.asarray(values)
        fits = array.ndim == len(port.shape) and len(array) > 0
        if not fits or not _matches(array.shape[1:], port.shape[1:]):
            raise self._misfit("batch", array, port.shape)
        if not np.issubdtype(array.dtype, np.floating):
            raise self._misfit("batch", array, port.shape)
        return array

    def _prepared(self, port: Input, image: Any) -> np.ndarray:
        if len(self.inputs) > 1 and not port.image:
            array = np.asarray(image, np.float32)
            if not _matches(array.shape, port.shape[1:]):
                raise self._misfit(port.name, array, port.shape[1:])
            return array
        if self.preprocessing is not None:
            return self.preprocessing(image)
        if len(port.shape) != 4 or port.shape[3] is None:
            raise reject("path", str(self.path), "a model of images (N, H, W, C)")
        array = pixels(image, port.shape[3])
        if not _matches(array.shape, port.shape[1:]):
            raise self._misfit("image", array, port.shape[1:])
        return array

    def _check_preprocessing(self) -> None:
        if self.preprocessing is None:
            return
        made = self.preprocessing.input_shape
        if not _matches(made, self.input_shape[1:]):
            problem = f"preprocessing makes {made}, the model takes {self.input_shape[1:]}"
            raise reject("path", str(self.path), f"an artifact that fits its metadata ({problem})")

    def _misfit(self, name: str, array: np.ndarray, shape: tuple[int | None, ...]) -> ValueError:
        kind = "an image" if name == "image" else "a float array"
        wanted = ", ".join("any" if side is None else str(side) for side in shape)
        return ValueError(
            f"`{name}` must be {kind} of shape ({wanted}). "
            f"Received: an array of shape {array.shape} and dtype {array.dtype}"
        )


def _is_many(images: Any) -> bool:
    return isinstance(images, (list, tuple)) or getattr(images, "ndim", 0) == 4


def _matches(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    if len(shape) != len(wanted):
        return False
    return all(side in (None, size) for size, side in zip(shape, wanted, strict=True))


def _inputs(path: Path, runtime: Runtime, metadata: Metadata | None) -> tuple[Input, ...]:
    """What the runtime lists, and the metadata say of it."""
    stated = {} if metadata is None else {port.name: port for port in metadata.inputs}
    _check_names(path, "inputs", stated, [port.name for port in runtime.inputs])
    return tuple(
        Input(
            **vars(port),
            image=stated[port.name].image if stated else len(port.shape) == 4,
        )
        for port in runtime.inputs
    )


def _outputs(path: Path, runtime: Runtime, metadata: Metadata | None) -> tuple[Output, ...]:
    """What the runtime lists, and the metadata say of it; by name, as the order may be another."""
    stated = {} if metadata is None else {port.name: port for port in metadata.outputs}
    _check_names(path, "outputs", stated, [port.name for port in runtime.outputs])
    if stated:
        ports = {port.name: port for port in runtime.outputs}
        return tuple(replace(output, **vars(ports[name])) for name, output in stated.items())
    if metadata is None:
        return tuple(Output(**vars(port)) for port in runtime.outputs)
    if len(runtime.outputs) > 1:
        problem = f"the metadata of one output, the model has {len(runtime.outputs)}"
        raise reject("path", str(path), f"an artifact that fits its metadata ({problem})")
    meaning = meaning_of(metadata.output_name, metadata.task)
    return tuple(
        Output(**vars(port), meaning=meaning, task=metadata.task, labels=metadata.labels)
        for port in runtime.outputs
    )


def _check_names(path: Path, what: str, stated: Any, listed: list[str]) -> None:
    if stated and set(stated) != set(listed):
        problem = f"{what} {', '.join(stated)} in the metadata, {', '.join(listed)} in the model"
        raise reject("path", str(path), f"an artifact that fits its metadata ({problem})")
