"""An opened artifact that takes images and gives labels."""

from pathlib import Path
from typing import Any

import numpy as np

from keras_bottleneck.checks import integer, reject
from keras_bottleneck.preprocessing import Preprocessing, pixels
from keras_bottleneck.runtime.classes import probabilities_of
from keras_bottleneck.runtime.flipping import mean_of_both
from keras_bottleneck.runtime.kinds import Runtime
from keras_bottleneck.runtime.metadata import Metadata
from keras_bottleneck.tasks import CLASSIFICATION, REGRESSION

# Bounds the memory that preprocessed images and activations take, however many images are given.
IMAGES_PER_BATCH = 32

Named = list[tuple[str, float]]
Prediction = Named | float


class Predictor:
    """An artifact ready to predict; `keras_bottleneck.runtime.load` makes one.

    Threads may share it, and get what they would get one after the other. Those that share a
    .tflite file take turns: let the calls have several CPUs with `load(path, threads=...)`, or load
    the file once for each thread, at the memory of one more interpreter.

    Attributes:
        path: The file or folder; of the folder of an export, the file in it that was opened.
        metadata: What the artifact carries about itself, or None.
        labels: The names of the classes, labels or numbers in the order of the outputs, or None.
        task: "classification", "multi-label" or "regression".
        preprocessing: How an image becomes model input, or None.
        input_shape: The model's input, with None for free dimensions; (N, H, W, C) for images.
        input_name: The model's own name of its input.
        output_name: "probabilities" or "logits" from the metadata; else the model's own name.
        tta: "flip", if each image is also looked at in a mirror; else None.

    Example:
        >>> predictor = load("model.tflite")  # doctest: +SKIP
        >>> predictor("cat.jpg", top=2)  # doctest: +SKIP
        [('cat', 0.93), ('fox', 0.04)]
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
        self.input_shape = tuple(runtime.input_shape)
        self.input_name = runtime.input_name
        self.output_name = runtime.output_name
        self._runtime = runtime
        if metadata is not None:
            self.labels = metadata.labels
            self.preprocessing = metadata.preprocessing
            self.output_name = metadata.output_name
            self.task = metadata.task
        self._check_preprocessing()

    def __repr__(self) -> str:
        return f"<Predictor {str(self.path)!r} {self.input_shape} -> {self.output_name}>"

    def __call__(self, images: Any, top: int = 5) -> Prediction | list[Prediction]:
        """What the model says of images: classes, labels or numbers.

        Args:
            images: One image (path, bytes of a file, PIL image, or uint8 or float array (H, W) or
                (H, W, C) of pixel values 0..255), a list of images of any sizes, or an array
                (N, H, W, C).
            top: How many classes or labels; all where there are fewer.

        Returns:
            For one image, the `top` most probable classes as (label, probability), best first; of
            a model of several labels, these with the probability of each; of a regression, a float,
            or (name, number) pairs in the order of the outputs where there are several. A list of
            such for a list or an (N, H, W, C) array.
            Without labels in the metadata, a class is called by its index: "0", "1", ... A model
            that ends in one linear output and has no labels is taken for a regression.

        Raises:
            ValueError: If `top` or an image is not as described, or the model is none of whole
                images.
        """
        count = integer("top", top)
        answers = self._answers(images)
        found = (
            self._numbers(answers) if self.gives_numbers(answers) else self._ranked(answers, count)
        )
        return found if _is_many(images) else found[0]

    def probabilities(self, images: Any) -> np.ndarray:
        """Probabilities of shape (N, classes), float32, for what a call accepts.

        Those of a segmenter that this package has exported are (N, height, width, classes).
        Images go through the stored preprocessing; without one they must have the model's size
        already, and their values are passed on as they are. Outputs named "logits" go through a
        softmax (of a multi-label model, a sigmoid), all others are taken as they are. A single
        output is taken for that of the second of two classes.

        Raises:
            ValueError: If an image is not as described, or the model is no classifier.
        """
        answers = self._answers(images)
        if self.gives_numbers(answers):
            raise self._no_classifier()
        return answers

    def run(self, batch: np.ndarray) -> np.ndarray:
        """The model's raw outputs, float32, for an already preprocessed float `batch`.

        Args:
            batch: Float array of the model's `input_shape`; N is free whatever the file says.

        Raises:
            ValueError: If `batch` is not a float array of that shape, or has no samples.

        Example:
            >>> batch = np.zeros((3, 224, 224, 3), np.float32)
            >>> load("model.onnx").run(batch).shape  # doctest: +SKIP
            (3, 1000)
        """
        array = np.asarray(batch)
        fits = array.ndim == len(self.input_shape) and len(array) > 0
        if not fits or not _matches(array.shape[1:], self.input_shape[1:]):
            raise self._misfit("batch", array)
        if not np.issubdtype(array.dtype, np.floating):
            raise self._misfit("batch", array)
        return self._runtime.run(np.ascontiguousarray(array, np.float32))

    def _answers(self, images: Any) -> np.ndarray:
        """The probabilities or numbers for what a call accepts."""
        many = images if _is_many(images) else [images]
        if len(many) == 0:
            raise reject("images", images, "one image or more")
        starts = range(0, len(many), IMAGES_PER_BATCH)
        batches = ([self._prepared(one) for one in many[i : i + IMAGES_PER_BATCH]] for i in starts)
        return np.concatenate([self._answered(np.stack(batch)) for batch in batches])

    def _answered(self, batch: np.ndarray) -> np.ndarray:
        if self.tta is not None:
            return mean_of_both(self._once, batch)
        return self._once(batch)

    def _once(self, batch: np.ndarray) -> np.ndarray:
        outputs = self.run(batch)
        return outputs if self.gives_numbers(outputs) else self._classified(outputs)

    def gives_numbers(self, outputs: np.ndarray) -> bool:
        """Whether `outputs` are those of a regression, or of one linear layer without labels."""
        if outputs.ndim != 2 or self.metadata is None:
            return False
        unnamed = self.output_name == "logits" and self.labels is None and outputs.shape[1] == 1
        return self.task == REGRESSION or unnamed

    def _numbers(self, outputs: np.ndarray) -> list[Prediction]:
        if outputs.shape[1] == 1:
            return list(outputs[:, 0].tolist())
        names = self._names(outputs.shape[1])
        return [list(zip(names, row, strict=True)) for row in outputs.tolist()]

    def _ranked(self, found: np.ndarray, top: int) -> list[Prediction]:
        if found.ndim != 2:
            accepted = "a classifier of whole images (`probabilities` gives those of each pixel)"
            raise reject("path", str(self.path), accepted)
        names = self._names(found.shape[1])
        orders = np.argsort(-found, axis=-1, kind="stable")[:, :top]
        return [
            [(names[index], float(row[index])) for index in order]
            for row, order in zip(found, orders, strict=True)
        ]

    def _classified(self, outputs: np.ndarray) -> np.ndarray:
        # A file that does not say so may return anything in more than two dimensions.
        dense = outputs.ndim > 2 and self.metadata is not None
        if not (outputs.ndim == 2 or dense) or self.output_name == "features":
            raise self._no_classifier()
        probabilities = probabilities_of(outputs, self.output_name, self.task)
        self._names(probabilities.shape[-1])
        return probabilities

    def _names(self, columns: int) -> tuple[str, ...]:
        """A name for each class, label or number."""
        if self.labels is not None and len(self.labels) != columns:
            found = f"{len(self.labels)} labels for {columns} classes"
            raise reject("path", str(self.path), f"an artifact with one label per class ({found})")
        return self.labels or tuple(str(index) for index in range(columns))

    def _prepared(self, image: Any) -> np.ndarray:
        if self.preprocessing is not None:
            return self.preprocessing(image)
        array = pixels(image, self._channels())
        if not _matches(array.shape, self.input_shape[1:]):
            raise self._misfit("image", array)
        return array

    def _channels(self) -> int:
        if len(self.input_shape) != 4 or self.input_shape[3] is None:
            raise reject("path", str(self.path), "a model of images (N, H, W, C)")
        return self.input_shape[3]

    def _check_preprocessing(self) -> None:
        if self.preprocessing is None:
            return
        made = self.preprocessing.input_shape
        if not _matches(made, self.input_shape[1:]):
            problem = f"preprocessing makes {made}, the model takes {self.input_shape[1:]}"
            raise reject("path", str(self.path), f"an artifact that fits its metadata ({problem})")

    def _no_classifier(self) -> ValueError:
        return reject("path", str(self.path), "a classifier with outputs (N, classes)")

    def _misfit(self, name: str, array: np.ndarray) -> ValueError:
        kind = "a float array" if name == "batch" else "an image"
        shape = self.input_shape if name == "batch" else self.input_shape[1:]
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
