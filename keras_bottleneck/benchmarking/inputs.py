"""The images that accuracy is measured on, and those that int8 ranges are measured on."""

from dataclasses import dataclass
from typing import Any

from keras_bottleneck import checks
from keras_bottleneck.benchmarking.subject import Subject
from keras_bottleneck.data import ImageData, samples
from keras_bottleneck.data.for_models import folder_in, images_for
from keras_bottleneck.evaluation.answers import Array
from keras_bottleneck.evaluation.labels import check_labels, shape_of_labels
from keras_bottleneck.export.exporter import CALIBRATION_IMAGES


@dataclass(frozen=True)
class Inputs:
    """Model inputs.

    Attributes:
        images: (N, height, width, channels).
        labels: Class indices, one for each image or pixel, or rows of labels or numbers; None where
            they are not known.
        calibration: As `images`; None where nothing is calibrated.
        calibrated_on: What `calibration` is, in words; None where there is none.
    """

    images: Array
    labels: Array | None
    calibration: Array | None
    calibrated_on: str | None


def collect(
    data: Any,
    calibration: Any,
    subject: Subject,
    limit: int,
    seed: int,
    calibrates: bool,
    tests: bool = False,
) -> Inputs:
    """Read `data` as `benchmark` describes it.

    Args:
        data: Image folder, `ImageData`, dataset or arrays.
        calibration: Dataset or arrays; None for the training part of `data`.
        subject: The model that the images are for.
        limit: The most images to measure accuracy on.
        seed: Of the split of an image folder.
        calibrates: Whether calibration images are needed.
        tests: Whether to measure on the test part of a folder, where there is one.

    Raises:
        ValueError: If either is something else, or does not fit the model.
    """
    folder = folder_in(data)
    if folder is not None:
        data = images_for(subject.preprocessing, subject.labels, folder, seed=seed)
    judged, training = data, None
    if isinstance(data, ImageData):
        if data.task != subject.task:
            raise checks.reject("data", f"images for {data.task}", f"images for {subject.task}")
        judged, training = (data.test if tests else None) or data.validation, data.train
        if judged is None:
            raise checks.reject("data", "ImageData without validation", "one with validation")
    shape = _input_shape(subject)
    places = shape_of_labels(subject.model, subject.output_name)
    images, labels = samples.read(
        "data", judged, shape, limit, label_shape=places, task=subject.task
    )
    if labels is not None and subject.classes is not None:
        check_labels(labels, subject.classes)
    if not calibrates:
        return Inputs(images, labels, None, None)
    given, words = _calibration(calibration, training, images)
    ranges, _ = samples.read("calibration", given, shape, CALIBRATION_IMAGES, labelled=False)
    return Inputs(images, labels, ranges, f"{len(ranges)} {words}")


def _calibration(given: Any, training: Any, judged: Array) -> tuple[Any, str]:
    if given is not None:
        return given, "images of `calibration`"
    if training is not None:
        return training, "training images"
    return judged, "of the images that it is judged on"


def _input_shape(subject: Subject) -> tuple[int | None, ...]:
    """That of the model, with the size that its preprocessing makes."""
    if subject.preprocessing is None:
        return subject.input_shape
    return None, *subject.preprocessing.input_shape
