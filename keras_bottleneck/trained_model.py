"""A trained model with its labels and preprocessing: in memory, a .keras file, or that of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_bottleneck import checks, failures, keras_private
from keras_bottleneck.files import replacing
from keras_bottleneck.graph.endings import model_task, output_name
from keras_bottleneck.graph.rebuild import functional
from keras_bottleneck.image_model import model_preprocessing
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.runtime import Metadata, artifact, metadata
from keras_bottleneck.runtime.batching import in_batches
from keras_bottleneck.runtime.ports import Feed, joined
from keras_bottleneck.signature import input_names, output_names
from keras_bottleneck.tasks import CLASSIFICATION, MULTI_LABEL, REGRESSION, checked_task
from keras_bottleneck.version import versions

Array = np.ndarray[Any, Any]

BATCH = 32
ACCEPTED = f"a Keras model, a .keras file, or a run folder with {artifact.BEST}"


@dataclass(frozen=True)
class TrainedModel:
    """A Keras model, and what is known of its classes and images.

    Attributes:
        model: The model.
        path: Its .keras file; None where it is in memory only.
        labels: Names of its classes, or None.
        preprocessing: How images become its input, or None.
        task: "classification", "multi-label" or "regression".
    """

    model: keras.Model
    path: Path | None
    labels: tuple[str, ...] | None
    preprocessing: Preprocessing | None
    task: str

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """(batch, height, width, channels), with None for free dimensions."""
        return tuple(self.model.inputs[0].shape)

    @property
    def output_name(self) -> str:
        """What its outputs are: "probabilities", "logits" or "features"."""
        return output_name(self.model)

    def run(self, inputs: Array) -> Any:
        """Its outputs, as `keras_outputs`."""
        return keras_outputs(self.model, inputs)


def opened(model: Any, name: str = "path") -> TrainedModel:
    """The model that `model` is, or that it names.

    Args:
        model: A Keras model, the path of a .keras file, or a run folder with best.keras.
        name: The argument that it was given as, for errors.

    Raises:
        ValueError: If it is none of them, or the file is damaged.
    """
    if isinstance(model, keras.Model):
        return TrainedModel(model, None, None, model_preprocessing(model), model_task(model))
    path = artifact.network(model, name)
    if not isinstance(path, (str, Path)) or Path(path).suffix != ".keras":
        raise checks.reject(name, model if model is path else str(model), ACCEPTED)
    try:
        found, carried = load_model(path)
    except ValueError as error:
        if name == "path":  # as the error calls it
            raise
        raise checks.reject(name, str(model), f"{ACCEPTED} ({error})") from None
    known = None if carried is None else carried.preprocessing
    return TrainedModel(
        model=found,
        path=Path(path),
        labels=None if carried is None else carried.labels,
        preprocessing=known or model_preprocessing(found),
        task=model_task(found) if carried is None else carried.task,
    )


def keras_outputs(model: keras.Model, inputs: Array | Feed) -> Any:
    """The outputs of a Keras model at inference, as `Predictor.run` returns them.

    Args:
        model: A functional or `Sequential` model.
        inputs: (N, ...); of several inputs a `Feed`.
    """
    taken, given = input_names(model), output_names(model)

    def run(batch: Feed) -> Feed:
        # Called, not `predict`ed: that would leave a compiled function on the user's model.
        values = keras_private.packed(model, [batch[name] for name in taken])
        outputs = keras.tree.flatten(model(values, training=False))
        arrays = (np.asarray(keras.ops.convert_to_numpy(one), np.float32) for one in outputs)
        return Feed(dict(zip(given, arrays, strict=True)))

    fixed = model.inputs[0].shape[0]
    feed = inputs if isinstance(inputs, Feed) else Feed({taken[0]: inputs})
    return joined(in_batches(run, piece, fixed) for piece in feed.parts(BATCH)).single


def save_model(
    model: keras.Model,
    path: str | Path,
    labels: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    task: str | None = None,
) -> Path:
    """Save `model` as a .keras file that `runtime.load` can run on images.

    The file is Keras's own format; labels and preprocessing travel as one more member, which
    `keras.models.load_model` passes over.

    Args:
        model: A Keras model.
        path: Ends in .keras; an existing file is replaced in one step.
        labels: Names of the classes, labels or numbers, in the order of the outputs.
        preprocessing: How an image becomes the model's input; by default what the model carries.
        task: "classification", "multi-label" or "regression"; by default what the loss of a
            compiled model tells, or its last layer.

    Returns:
        The path.

    Raises:
        ValueError: If `path` does not end in .keras or cannot be written (the file that was there
            stays as it was), or labels or preprocessing do not fit.

    Example:
        >>> from keras_bottleneck.models import ResNet18
        >>> save_model(ResNet18(classes=2), "pets.keras", labels=("cat", "dog")).name
        'pets.keras'
    """
    if not isinstance(path, (str, Path)) or Path(path).suffix != ".keras":
        raise checks.reject("path", str(path), "a path that ends in .keras")
    target = Path(path)
    functional(model)
    task = checked_task(task) or model_task(model)
    check_labels(model, labels, task)
    preprocessing = checked_preprocessing(model, preprocessing)
    described = Metadata(
        name=model.name,
        labels=None if labels is None else tuple(map(str, labels)),
        preprocessing=preprocessing,
        output_name=output_name(model),
        versions=versions("keras"),
        task=task,
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as scratch:
            model.save(scratch)
            metadata.write(scratch, described)
    except OSError as error:
        why = error.strerror or checks.first_line(error)
        raise checks.reject("path", str(path), f"where a file can be written ({why})") from None
    return target


def check_labels(model: keras.Model, labels: Any, task: str = CLASSIFICATION) -> None:
    """Raise ValueError unless there is one label for each class (or label, or number), in order."""
    columns = model.outputs[0].shape[-1]
    # One column is the probability or logit of the second of two classes.
    names = 2 if columns == 1 and task == CLASSIFICATION else columns
    what = {CLASSIFICATION: "class", MULTI_LABEL: "label", REGRESSION: "number"}[task]
    if labels is None:
        return
    if not isinstance(labels, (list, tuple, np.ndarray)) or len(labels) != names:
        raise checks.reject("labels", labels, f"a sequence of {names} names, one for each {what}")


def checked_preprocessing(model: keras.Model, preprocessing: Any) -> Preprocessing | None:
    """`preprocessing`, or what the model carries, if it makes what the model takes.

    Raises:
        ValueError: If it does not.
    """
    if preprocessing is None:
        preprocessing = model_preprocessing(model)
    if preprocessing is None:
        return None
    if not isinstance(preprocessing, Preprocessing):
        raise checks.reject("preprocessing", preprocessing, "a Preprocessing or None")
    taken, made = model.inputs[0].shape[1:], preprocessing.input_shape
    fits = len(taken) == 3 and all(a in (None, b) for a, b in zip(taken, made, strict=True))
    if not fits:
        fitting = f"one for the model's input shape {tuple(taken)}"
        raise checks.reject("preprocessing", preprocessing, fitting)
    return preprocessing


def load_model(path: str | Path) -> tuple[keras.Model, Metadata | None]:
    """The model in a .keras file and what `save_model` stored beside it.

    Raises:
        ValueError: If there is no such file, or it is damaged.

    Example:
        >>> model, carried = load_model("pets.keras")  # doctest: +SKIP
        >>> carried.labels  # doctest: +SKIP
        ('cat', 'dog')
    """
    if not isinstance(path, (str, Path)) or Path(path).suffix != ".keras":
        raise checks.reject("path", path, "the path of a .keras file")
    carried = metadata.read(path)
    try:
        return keras.models.load_model(path, compile=False), carried
    except Exception as error:  # zip, JSON, HDF5 and Keras raise their own here
        why = failures.reason(error)
        raise checks.reject("path", str(path), f"a whole .keras file ({why})") from None
