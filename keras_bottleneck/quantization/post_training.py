"""`quantize`: from a float network to one that computes as int8 runtimes do."""

import warnings
from collections.abc import Sequence
from typing import Any

import keras

from keras_bottleneck import checks, graph
from keras_bottleneck.data import samples
from keras_bottleneck.graph.cast import in_float32, other_precision
from keras_bottleneck.graph.endings import model_task
from keras_bottleneck.quantization.accuracy import keep
from keras_bottleneck.quantization.calibration import Options, calibrated
from keras_bottleneck.quantization.calibrators import CALIBRATORS
from keras_bottleneck.quantization.placement import Placement
from keras_bottleneck.quantization.primitive import primitive
from keras_bottleneck.quantization.quantizers import checked_float_model
from keras_bottleneck.tasks import REGRESSION
from keras_bottleneck.training.outputs import head_of

ROUNDINGS = ("nearest", "adaptive")
ENOUGH_IMAGES = 100


def quantize(
    model: keras.Model,
    calibration: Any,
    *,
    calibrator: str = "mse",
    equalize: bool = True,
    bias_correction: bool = True,
    rounding: str = "nearest",
    reduce_range: bool = True,
    skip: Sequence[str] | str = (),
    keep_accuracy: float | None = None,
    images: int = 512,
) -> keras.Model:
    """A Keras model that computes what int8 runtimes compute.

    The network is flattened and folded; fake quantizers round its activations to 8 bits, kernels
    lie on int8 grids (per output channel; per tensor in dense and transposed convolutions) and
    biases on int32 grids. The result can be evaluated, saved, exported by `export_model` as
    TFLite and ONNX with these same scales, and fine-tuned with `fit`: that is
    quantization-aware training. See `QuantizationSchedule` and `distill`.

    Args:
        model: A functional or built `Sequential` model of images, float; it stays untouched. The
            result computes in its precision.
        calibration: What the ranges are measured on: a dataset of batches (images, labels) or
            images, or such arrays, as the model takes them. Inputs between 0 and 255 are taken
            for raw pixels and get exactly that range.
        calibrator: How a range is chosen: `"mse"` (least squared error), `"minmax"`,
            `"percentile"` (99.99%) or `"entropy"` (least divergence).
        equalize: Whether to scale channels against each other where that lowers the noise.
        bias_correction: Whether to correct the mean error of each kernel's outputs.
        rounding: `"nearest"`, or `"adaptive"`: codes chosen for the outputs they make, with
            more calibration time; worth it from some fifty images on.
        reduce_range: Whether no two neighbouring codes of a kernel sum to more than 128. Without
            that, ONNX Runtime computes wrong sums on x86 processors that lack VNNI, unless the
            session's `session.x64quantprecision` is `"1"`. `False` uses the codes up to 127 in
            any order, for TFLite alone, TensorRT, QNN, Arm, or servers known to have VNNI.
        skip: Names of layers, or of blocks, to leave in float; `"unsupported"` for those that
            int8 runtimes do not have.
        keep_accuracy: The part of top-1 accuracy (of several labels, of right ones) that may be
            lost on the calibration images, such as 0.005; layers are left in float, the most
            sensitive first, until no more is lost. Where the images have no labels, what the float
            model answers is taken for true.
        images: How many calibration images are used at the most.

    Returns:
        A functional model with the inputs and outputs of `model`, not compiled. What was
        measured is its `quantization_report`, which files do not keep; printing it shows a table.

    Raises:
        ValueError: If an argument is wrong, `model` is subclassed, quantized already or has
            more than one input, a layer cannot be quantized (named before any work is done), or
            `calibration` is empty or holds no finite images of the model's shape.

    Source: Jacob et al. 2018; equalization and bias correction are Nagel et al. 2019; adaptive
    rounding is after Frantar et al. 2022.

    Example:
        >>> import numpy as np
        >>> from keras_bottleneck.models import ResNet
        >>> model = ResNet("basic", (1,), filters=(8,), stem="cifar", input_shape=(16, 16, 3))
        >>> photographs = np.random.default_rng(0).normal(size=(100, 16, 16, 3))
        >>> quantized = quantize(model, photographs)
        >>> quantized.quantization_report.images
        100
    """
    network = checked_float_model(model)
    options = Options(
        calibrator=checks.one_of("calibrator", calibrator, CALIBRATORS),
        equalize=checks.boolean("equalize", equalize),
        bias_correction=checks.boolean("bias_correction", bias_correction),
        rounding=checks.one_of("rounding", rounding, ROUNDINGS),
        reduce_range=checks.boolean("reduce_range", reduce_range),
    )
    limit = checks.integer("images", images)
    if keep_accuracy is not None:
        checks.number("keep_accuracy", keep_accuracy, 0.0, 1.0)
        head_of(network)
    task = model_task(model)
    if keep_accuracy is not None and task == REGRESSION:
        raise checks.reject("keep_accuracy", keep_accuracy, f"None for a {REGRESSION}")
    exact = in_float32(network)
    placement = Placement(primitive(exact), skip)
    shape = network.inputs[0].shape
    labelled = keep_accuracy is not None
    photographs, labels = samples.read(
        "calibration", calibration, shape, limit, labelled, task=task
    )
    if len(photographs) < ENOUGH_IMAGES:
        warnings.warn(
            f"quantize calibrates on {len(photographs)} images: ranges are better from "
            f"{ENOUGH_IMAGES} on.",
            stacklevel=2,
        )
    insertion, report = calibrated(placement, photographs, options)
    if keep_accuracy is not None:
        insertion, report = keep(
            exact, insertion, report, photographs, labels, task, options, keep_accuracy
        )
    policy = other_precision(network)
    result = graph.cast(insertion.model, policy) if policy else insertion.model
    result.quantization_report = report
    return result
