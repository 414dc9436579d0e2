"""Run an artifact in its own runtime and compare it with the Keras model, sample by sample."""

import statistics
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_bottleneck import runtime
from keras_bottleneck.data import samples
from keras_bottleneck.evaluation.answers import Answers, Array
from keras_bottleneck.evaluation.metrics import difference, measured
from keras_bottleneck.evaluation.results import Evaluation
from keras_bottleneck.export.errors import translated
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.runtime.onnx_runtime import ONNX, needs_care
from keras_bottleneck.runtime.ports import Feed
from keras_bottleneck.runtime.timing import timed

NOISE_SAMPLES = 16


@dataclass(frozen=True)
class Samples:
    """Model inputs (N, height, width, channels) and, where they are known, labels.

    There is a class for each image, (N,), or for each place that the model classifies, (N, ...);
    or a row of labels or numbers for each image, (N, columns).
    """

    inputs: Array
    labels: Array | None


@dataclass(frozen=True)
class Comparison:
    """The result of running an artifact on the samples.

    Attributes:
        error: Its difference from Keras; see `Format.tolerance`.
        agreement: The part of the samples, of a segmenter the part of their pixels, with the same
            top-1 class as Keras, or of their labels, with the same decision; None without such.
        accuracy: The part with the true class or decision; None without labels.
        latency_ms: The median time of one sample in milliseconds.
        plain_error: The difference in an ONNX Runtime session without options; None unless
            `runtime.load` has to set one for this file.
    """

    error: float
    agreement: float | None
    accuracy: float | None
    latency_ms: float
    plain_error: float | None = None


def collect(
    verify: Any,
    input_shape: tuple[int | None, ...],
    limit: int,
    preprocessing: Preprocessing | None,
    label_shape: tuple[int | None, ...],
    task: str,
) -> Samples:
    """Up to `limit` samples of a tf.data pipeline or of arrays; noise where `verify` is None.

    `label_shape` is that of the labels of one image: () for a class, (height, width) for a mask;
    `task` says what they are.

    Raises:
        ValueError: If `verify` is neither, is empty, or does not hold inputs of the model.
    """
    if verify is None:
        warnings.warn(
            "export_model compares the artifacts on noise: pass `verify=` with real samples to "
            "know how they do on images.",
            stacklevel=3,
        )
        return Samples(_noise(input_shape[1:], preprocessing), None)
    return Samples(
        *samples.read("verify", verify, input_shape, limit, label_shape=label_shape, task=task)
    )


def _noise(shape: tuple[int | None, ...], preprocessing: Preprocessing | None) -> Array:
    """Noise with the 1/f spectrum of photographs, as pixels through the preprocessing."""
    height, width, channels = (side or 1 for side in shape)
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft2(rng.normal(size=(NOISE_SAMPLES, channels, height, width)))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    waves = np.fft.irfft2(spectrum / np.maximum(frequency, 1 / max(height, width)), (height, width))
    waves /= waves.std(axis=(2, 3), keepdims=True) + 1e-9
    pixels = np.clip(127.5 + 64 * waves, 0, 255).transpose(0, 2, 3, 1).astype(np.float32)
    return pixels / 255 if preprocessing is None else preprocessing.normalize(pixels)


def compare(
    path: Path,
    given: Samples,
    reference: Answers,
    measure: Callable[[Array, Array, str], float] = difference,
) -> Comparison:
    """Run the artifact at `path` on every sample, and `measure` it against Keras's answers."""
    with translated(f"Running {path.name}"):
        outputs, seconds = timed(runtime.load(path, trusted=True), given.inputs)
        plain = _in_a_plain_session(path, given.inputs)

    def error(answers: Array) -> float:
        return measure(answers, reference.outputs, reference.output_name)

    evaluation = Evaluation(reference.like_these(outputs), given.labels, reference)
    figures = measured(evaluation, ["agreement", "top1", "label_accuracy"])
    accuracy = figures["label_accuracy"] if figures["top1"] is None else figures["top1"]
    return Comparison(
        error=error(outputs),
        agreement=figures["agreement"],
        accuracy=accuracy,
        latency_ms=1e3 * statistics.median(seconds),
        plain_error=None if plain is None else error(plain),
    )


def _in_a_plain_session(path: Path, inputs: Array) -> Array | None:
    """What an ONNX Runtime session without options computes; None where `runtime.load` has none."""
    if path.suffix != ".onnx" or not needs_care(path):
        return None
    session = ONNX(path, plain=True)
    found: Array = session.run(Feed({session.inputs[0].name: inputs})).single
    return found
