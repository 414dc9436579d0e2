"""Run an artifact in its own runtime and compare it with the Keras model, sample by sample."""

import itertools
import statistics
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_bottleneck import checks, runtime
from keras_bottleneck.preprocessing import Preprocessing

Array = np.ndarray[Any, Any]

NOISE_SAMPLES = 16
WARM_UP_RUNS = 3
BATCH = 32


@dataclass(frozen=True)
class Samples:
    """Model inputs (N, height, width, channels) and, where they are known, class indices (N,)."""

    inputs: Array
    labels: Array | None


@dataclass(frozen=True)
class Comparison:
    """What running an artifact on the samples has shown.

    `error` is the largest difference from Keras (see `Format.tolerance`), `agreement` the part
    of samples with the same top-1 class, `accuracy` the part with the true one, `latency_ms`
    the median time of one sample.
    """

    error: float
    agreement: float
    accuracy: float | None
    latency_ms: float


def collect(
    verify: Any,
    input_shape: tuple[int | None, ...],
    limit: int,
    preprocessing: Preprocessing | None,
) -> Samples:
    """Up to `limit` samples of a tf.data pipeline or of arrays; noise where `verify` is None.

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
    inputs, labels, count = [], [], 0
    for batch in _batches(verify):
        x, y = batch if isinstance(batch, (tuple, list)) and len(batch) == 2 else (batch, None)
        inputs.append(_checked_inputs(x, input_shape))
        labels.append(None if y is None else _class_indices(y))
        count += len(inputs[-1])
        if count >= limit:
            break
    if not count:
        raise ValueError("`verify` must hold at least one sample. Received: an empty dataset")
    known = [one for one in labels if one is not None]
    joined = np.concatenate(known)[:limit] if len(known) == len(labels) else None
    return Samples(np.concatenate(inputs)[:limit], joined)


def _batches(verify: Any) -> Any:
    accepted = "a dataset of batches (images, labels) or images, or such arrays"
    if hasattr(verify, "as_numpy_iterator"):
        return verify.as_numpy_iterator()
    if isinstance(verify, np.ndarray):
        return [verify]
    if isinstance(verify, tuple) and len(verify) == 2:
        return [verify]
    if isinstance(verify, (str, bytes, dict)) or not hasattr(verify, "__iter__"):
        raise checks.reject("verify", verify, accepted)
    return itertools.chain(verify)


def _checked_inputs(x: Any, input_shape: tuple[int | None, ...]) -> Array:
    images = np.asarray(x)
    if images.ndim != 4 or images.shape[1:] != input_shape[1:]:
        raise ValueError(
            f"`verify` must hold batches of images {input_shape[1:]}. Received: an array of shape "
            f"{images.shape}"
        )
    images = images.astype(np.float32)
    if not np.isfinite(images).all():
        raise ValueError("`verify` must hold finite values. Received: images with NaN or infinity")
    return images


def _class_indices(y: Any) -> Array:
    labels = np.asarray(y)
    one_hot = labels.ndim == 2 and labels.shape[1] > 1
    return labels.argmax(-1) if one_hot else labels.reshape(-1).astype(np.int64)


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


def keras_outputs(model: keras.Model, inputs: Array) -> Array:
    """The model's outputs at inference, (N, ...)."""
    starts = range(0, len(inputs), BATCH)
    # Called, not `predict`ed: that would leave a compiled function on the user's model.
    batches = [model(inputs[start : start + BATCH], training=False) for start in starts]
    return np.concatenate([keras.ops.convert_to_numpy(batch) for batch in batches])


def accuracy(outputs: Array, labels: Array | None) -> float | None:
    """Top-1 accuracy of outputs (N, classes); None without labels or classes."""
    if labels is None or outputs.ndim != 2:
        return None
    return float(np.mean(outputs.argmax(-1) == labels))


def difference(outputs: Array, reference: Array, output_name: str) -> float:
    """The largest difference: absolute for probabilities, else as a part of the largest output.

    Outputs that are not finite, or of another shape, differ by infinity.
    """
    if outputs.shape != reference.shape or not np.isfinite(outputs).all():
        return float("inf")
    scale = 1.0 if output_name == "probabilities" else max(float(np.abs(reference).max()), 1e-9)
    return float(np.abs(outputs - reference).max()) / scale


def compare(path: Path, samples: Samples, reference: Array, output_name: str) -> Comparison:
    """Run the artifact at `path` on every sample, one by one, and compare with `reference`."""
    predictor = runtime.load(path)
    for _ in range(WARM_UP_RUNS):
        predictor.run(samples.inputs[:1])
    outputs, seconds = [], []
    for index in range(len(samples.inputs)):
        start = time.perf_counter()
        outputs.append(predictor.run(samples.inputs[index : index + 1]))
        seconds.append(time.perf_counter() - start)
    found = np.concatenate(outputs)
    same = found.shape == reference.shape and found.argmax(-1) == reference.argmax(-1)
    return Comparison(
        error=difference(found, reference, output_name),
        agreement=float(np.mean(same)),
        accuracy=accuracy(found, samples.labels),
        latency_ms=1e3 * statistics.median(seconds),
    )
