"""`export_model`: write, run, compare, and only then put in place."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_bottleneck import checks
from keras_bottleneck.console import track
from keras_bottleneck.data.samples import read
from keras_bottleneck.evaluation.answers import Answers, Array
from keras_bottleneck.evaluation.labels import shape_of_labels
from keras_bottleneck.evaluation.metrics import measured, noise
from keras_bottleneck.evaluation.results import Evaluation
from keras_bottleneck.export import target_folder
from keras_bottleneck.export.auditing import audit
from keras_bottleneck.export.divergence import first_divergent_layer
from keras_bottleneck.export.errors import ExportError
from keras_bottleneck.export.formats import DEFAULT_FORMATS, FORMATS, Format, Needs
from keras_bottleneck.export.inference import (
    INPUT_NAME,
    artifact_shape,
    float32_model,
    inference_model,
)
from keras_bottleneck.export.limits import check_limits
from keras_bottleneck.export.names import FILE_NAME, file_name
from keras_bottleneck.export.native_messages import native_messages_held
from keras_bottleneck.export.report import Artifact, ExportReport
from keras_bottleneck.export.source import Source
from keras_bottleneck.export.verify import Samples, collect, compare
from keras_bottleneck.graph.endings import model_task, output_name
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.quantization.fake_quant import step_of
from keras_bottleneck.quantization.observation import spread
from keras_bottleneck.quantization.quantizers import FakeQuantize, is_quantized
from keras_bottleneck.runtime import Metadata, manifest, metadata
from keras_bottleneck.tasks import checked_task
from keras_bottleneck.trained_model import check_labels, checked_preprocessing, keras_outputs
from keras_bottleneck.version import versions

# What makes int8 runtimes differ beyond their tolerance.
CHAOTIC = 0.2
# Samples that tell how far.
MOVED_SAMPLES = 32
IO_TYPES = ("float32", "int8", "uint8")
CALIBRATION_IMAGES = 512


def export_model(
    model: keras.Model,
    directory: str | Path,
    formats: Sequence[str] | None = None,
    *,
    name: str | None = None,
    labels: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    verify: Any = None,
    verify_samples: int = 256,
    image_size: int | tuple[int, int] | None = None,
    batch_size: int | None = 1,
    io_type: str = "float32",
    calibration: Any = None,
    allow_float: bool = False,
    task: str | None = None,
) -> ExportReport:
    """Write `model` as SavedModel, TFLite and ONNX files, run each, and compare it with Keras.

    The network is exported in float32, with batch norm folded and without what only training
    needs, from an input called "image" to an output called "probabilities" (after a softmax or
    sigmoid), "logits" or "features". Labels and preprocessing travel inside each file, for
    `runtime.load`. Every file is run in its own runtime on real samples; if one differs from the
    Keras model by more than its format's tolerance, nothing is put in place.

    Args:
        model: Any functional or `Sequential` Keras model of images; it stays untouched.
        directory: Where the files go. They are moved in when all are verified;
            `manifest.json`, replaced last, lists them with their sha256. Another export into it
            waits until this one is done; what one that was killed has left is taken away.
        formats: Rows of `FORMATS`. Of a float model `"saved_model"`, `"tflite"`, `"onnx"` (these
            by default), `"tflite_float16"`, `"tflite_dynamic"` (int8 weights), `"tflite_int16"`
            (int16 activations, int8 weights); of a quantized one `"tflite_int8"` and
            `"onnx_int8"` (both by default).
        name: Base of the file names; by default the model's name, with "_" in place of what is no
            letter, digit, ".", "_" or "-" ("my model v1.0" becomes `my_model_v1.0.tflite`).
        labels: Names of the classes, in the order of the outputs; or of the labels or numbers.
        preprocessing: How an image becomes the model's input; by default what the model carries.
        verify: Samples to compare on: a dataset of batches (images, labels) or images, or such
            arrays, all as the model takes them; the labels of a segmenter are masks, of other tasks
            rows. Without it, noise is used, with a warning.
        verify_samples: How many of them at the most.
        image_size: (height, width) in pixels, needed where the model takes any size and
            `preprocessing` does not say it.
        batch_size: The static batch of the files; None for any, which some phone delegates
            refuse.
        io_type: What `tflite_int8` takes and returns: `"float32"`, `"int8"` or `"uint8"`. A model
            of raw pixels, 0 to 255, takes them as they are with `"uint8"`.
        calibration: Images that stand for all that the model will see, as for `quantize`; the
            range of each tensor of `tflite_int16` is measured on them.
        allow_float: Whether an int8 file may hold operators in float, as where layers were
            skipped.
        task: "classification", "multi-label" or "regression"; by default what the loss of a
            compiled model tells, or its last layer: several linear outputs are logits then.

    Returns:
        An `ExportReport`; printing it shows file, size, accuracy, agreement and latency, and the
        model's name where the files are called otherwise.

    Raises:
        ValueError: For a wrong argument; nothing has been written.
        ExportError: If a format has no operator for a layer, which the message names; this is
            known before any work. If a file cannot be written, as on a full disk, or does not
            compute what the model computes; the message names the first layer that diverges. Also
            if an int8 file is not int8 throughout. The directory is left as it was.

    Example:
        >>> from keras_bottleneck.models import ResNet18
        >>> model = ResNet18(classes=10)
        >>> report = export_model(model, "exported", verify=dataset)  # doctest: +SKIP
        >>> print(report)  # doctest: +SKIP
    """
    if keras.config.backend() != "tensorflow":
        raise ValueError(
            "`export_model` needs Keras on the tensorflow backend: save the model as .keras and "
            "export it where KERAS_BACKEND=tensorflow. Received: "
            f"backend={keras.config.backend()!r}"
        )
    target = _checked_directory(directory)
    reference_model = float32_model(model)
    quantized = is_quantized(reference_model)
    rows = _checked_formats(formats, quantized)
    checks.one_of("io_type", io_type, IO_TYPES)
    checks.boolean("allow_float", allow_float)
    preprocessing = checked_preprocessing(reference_model, preprocessing)
    shape = artifact_shape(reference_model, image_size, batch_size, preprocessing)
    task = checked_task(task) or model_task(model)
    check_labels(reference_model, labels, task)
    manifest.read(target)
    count = checks.integer("verify_samples", verify_samples)
    described = Metadata(
        name=file_name(model.name) if name is None else _checked_name(name),
        labels=None if labels is None else tuple(map(str, labels)),
        preprocessing=preprocessing,
        input_name=INPUT_NAME,
        output_name=output_name(reference_model),
        versions=versions("tensorflow", "keras", "tf2onnx", "onnx"),
        task=task,
    )
    exported, names = inference_model(reference_model, shape)
    places = shape_of_labels(exported, described.output_name)
    samples = collect(verify, shape, count, preprocessing, places, task)
    ranges = _calibration(rows, calibration, shape)

    with target_folder.scratch_folder(target) as scratch:
        source = Source(exported, described.output_name, scratch, io_type, ranges, names)
        check_limits(source, rows)
        reference = Answers(
            keras_outputs(reference_model, samples.inputs), described.output_name, task
        )
        if not np.isfinite(reference.outputs).all():
            raise ExportError(
                f"The outputs of model {model.name!r} itself are not finite: it has NaN or "
                "infinite weights, or the samples drive it to infinity."
            )
        trembling = _trembling(reference_model, samples, reference) if quantized else 0.0
        artifacts = [
            _made(row, source, described, samples, reference, trembling, allow_float)
            for row in track(rows, len(rows), f"export {described.name}")
        ]
        target_folder.commit(
            scratch,
            target,
            {artifact.path.name: _entry(artifact, described) for artifact in artifacts},
        )
    own = measured(Evaluation(reference, samples.labels), ["top1", "label_accuracy"])
    return ExportReport(
        name=described.name,
        model_name=model.name,
        artifacts=tuple(
            replace(artifact, path=target / artifact.path.name) for artifact in artifacts
        ),
        samples=len(samples.inputs),
        real_samples=verify is not None,
        keras_accuracy=next((one for one in own.values() if one is not None), None),
    )


def _checked_directory(directory: Any) -> Path:
    if not isinstance(directory, (str, Path)) or not str(directory):
        raise checks.reject("directory", directory, "the path of a folder")
    path = Path(directory)
    if path.exists() and not path.is_dir():
        raise checks.reject("directory", str(directory), "a folder or a new path, not a file")
    return path


def _checked_formats(formats: Any, quantized: bool) -> list[str]:
    if formats is None:
        formats = DEFAULT_FORMATS[Needs.QUANTIZED if quantized else Needs.FLOAT]
    if isinstance(formats, str) or not isinstance(formats, Sequence) or not formats:
        accepted = f"a sequence of names out of {', '.join(FORMATS)}"
        raise checks.reject("formats", formats, accepted)
    rows = list(dict.fromkeys(checks.one_of("formats", name, FORMATS) for name in formats))
    for row in rows:
        if (FORMATS[row].needs is Needs.QUANTIZED) != quantized:
            kind = "a model from `quantize`" if quantized else "a float model"
            fitting = [
                name
                for name, form in FORMATS.items()
                if (form.needs is Needs.QUANTIZED) == quantized
            ]
            raise checks.reject("formats", row, f"one of {', '.join(fitting)} for {kind}")
    return rows


def _calibration(rows: list[str], calibration: Any, shape: tuple[int | None, ...]) -> Array | None:
    needing = [row for row in rows if FORMATS[row].needs is Needs.CALIBRATION]
    if not needing:
        return None
    if calibration is None:
        raise checks.reject("calibration", None, f"given for format {needing[0]!r}")
    return read("calibration", calibration, shape, CALIBRATION_IMAGES, labelled=False)[0]


def _checked_name(name: Any) -> str:
    accepted = "a file name of at most 100 letters, digits, '.', '_' and '-'"
    if not isinstance(name, str) or not FILE_NAME.fullmatch(name):
        raise checks.reject("name", name, accepted)
    return name


def _made(
    row: str,
    source: Source,
    described: Metadata,
    samples: Samples,
    reference: Answers,
    trembling: float,
    allow_float: bool,
) -> Artifact:
    """Write, describe and run one artifact.

    Raises:
        ExportError: If it differs from `reference` by more than its format's tolerance, or is
            an int8 file with operators in float that are not allowed.
    """
    form = FORMATS[row]
    path = source.scratch / form.file_name.format(name=described.name)
    with native_messages_held():
        form.write(source, path)
        if form.needs is Needs.QUANTIZED:
            described = replace(described, needs_vnni=_checked_int8(path, allow_float))
        metadata.write(path, described)
        comparison = compare(path, samples, reference, form.measure)
    # No runtime can be closer to the model than the model is to itself.
    allowed = max(form.tolerance, 2 * trembling)
    if not comparison.error <= allowed:
        raise ExportError(_diagnosis(path.name, form, source, samples, comparison.error, allowed))
    if comparison.plain_error is not None and comparison.plain_error > allowed:
        warnings.warn(
            f"{path.name} differs from Keras by {comparison.plain_error:.2g} in an ONNX Runtime "
            "session without options, since this processor lacks VNNI: quantize with "
            "reduce_range=True, or set session.x64quantprecision to '1', as `runtime.load` does.",
            stacklevel=4,
        )
    return Artifact(
        row,
        path,
        manifest.size_of(path),
        manifest.sha256_of(path),
        comparison,
        described.needs_vnni,
    )


def _trembling(model: keras.Model, samples: Samples, reference: Answers) -> float:
    """How far a quantized model's outputs move where its inputs are rounded the other way.

    Little in a trained network. In one without training each rounding decides those behind it,
    and no two int8 runtimes agree.
    """
    first = next(layer for layer in model.layers if isinstance(layer, FakeQuantize))
    step = float(keras.ops.convert_to_numpy(step_of(first.low, first.high)))
    inputs = spread(samples.inputs, MOVED_SAMPLES)
    shift = np.random.default_rng(0).uniform(-step, step, inputs.shape)
    moved = keras_outputs(model, inputs + np.asarray(shift, np.float32))
    movement = noise(moved, spread(reference.outputs, MOVED_SAMPLES), reference.output_name)
    if movement > CHAOTIC:
        warnings.warn(
            f"One step at its input moves the outputs of model {model.name!r} by {movement:.0%}: "
            "it is not trained, or too noisy for int8, and no two runtimes will agree on it.",
            stacklevel=3,
        )
    return movement


def _checked_int8(path: Path, allow_float: bool) -> bool:
    """Whether an int8 file needs VNNI; an `ExportError` if it is not int8 throughout."""
    report = audit(path)
    if report.int8_problems and not allow_float:
        raise ExportError(
            f"{path.name} is not int8 throughout: {'; '.join(report.int8_problems)}; pass "
            "allow_float=True to export it all the same."
        )
    return bool(report.needs_vnni)


def _diagnosis(
    file_name: str, form: Format, source: Source, samples: Samples, error: float, allowed: float
) -> str:
    with native_messages_held():
        layer = first_divergent_layer(source, form, samples.inputs)
    where = "no single layer diverges" if layer is None else f"layer {layer!r} diverges first"
    return (
        f"{file_name} differs from the Keras model by {error:.2g}, more than the "
        f"{allowed:.2g} allowed; {where}."
    )


def _entry(artifact: Artifact, described: Metadata) -> dict[str, Any]:
    comparison = artifact.comparison
    return {
        **json.loads(replace(described, needs_vnni=artifact.needs_vnni).to_json()),
        "format": artifact.format,
        "sha256": artifact.sha256,
        "size": artifact.size,
        "max_error": comparison.error,
        "agreement": comparison.agreement,
        "accuracy": comparison.accuracy,
    }
