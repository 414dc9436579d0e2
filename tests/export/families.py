"""Networks of others, one of each family, in every format: the record behind the documentation.

`python -m tests.export.families docs/compatibility.md` tries those that the record beside the page
lacks, or those named behind the page, and writes both after each; it can be stopped and goes on
where it was.
"""

import importlib.util
import json
import re
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import applications, layers

import keras_bottleneck as kb

CLASSES = 10
# Images that batch norm settles on, that ranges are measured on, and that files are compared on.
SETTLED, CALIBRATED, COMPARED = 64, 48, 16
# A shift behind batch norm, so that most of it passes the ReLU: at zero, an untrained network
# without shortcuts enlarges each rounding by a fifth in every layer.
STEADY_SHIFT = 1.0
# The step of a residual branch in a trained ConvNeXt, which starts without one.
TRAINED_SCALE = 0.3
FLOAT = ("saved_model", "tflite", "tflite_float16", "tflite_dynamic", "tflite_int16", "onnx")
INT8 = ("tflite_int8", "onnx_int8")
YES = "yes"
CHAOTIC = "Untrained, it is too noisy for int8 to be compared."


@dataclass(frozen=True)
class Family:
    """How a network is built.

    Attributes:
        build: A function from (height, width, channels) to a classifier that gives logits.
        side: Height and width of its images in pixels.
        raw: Whether it takes pixels from 0 to 255; else they are from -1 to 1.
    """

    build: Callable[[tuple[int, int, int]], keras.Model]
    side: int = 32
    raw: bool = False


def _application(name: str) -> Callable[[tuple[int, int, int]], keras.Model]:
    def build(shape: tuple[int, int, int]) -> keras.Model:
        network = getattr(applications, name)
        return network(weights=None, input_shape=shape, classes=CLASSES, classifier_activation=None)

    return build


def _hub(name: str, **architecture) -> Callable[[tuple[int, int, int]], keras.Model]:
    def build(shape: tuple[int, int, int]) -> keras.Model:
        import keras_hub

        size = "input_shape" if name == "EfficientNet" else "image_shape"
        backbone = getattr(keras_hub.models, f"{name}Backbone")(**{size: shape}, **architecture)
        (features,) = keras.tree.flatten(backbone.output)
        x = layers.GlobalAveragePooling2D()(features)
        return keras.Model(backbone.input, layers.Dense(CLASSES)(x), name=name.lower())

    return build


_RESNET = {
    "input_conv_filters": [64],
    "input_conv_kernel_sizes": [7],
    "stackwise_num_filters": [64, 128],
    "stackwise_num_blocks": [2, 2],
    "stackwise_num_strides": [1, 2],
    "block_type": "bottleneck_block",
}
_STAGES = {"stackwise_depth": [1, 2], "stackwise_strides": [1, 2]}
_CSP = {
    "stem_filters": 16,
    "stem_kernel_size": 3,
    "stem_strides": 2,
    "stackwise_num_filters": [32, 64],
    **_STAGES,
}

# From the fastest to the slowest.
FAMILIES = {
    "KerasHub VGG": Family(
        _hub("VGG", stackwise_num_repeats=[1, 2], stackwise_num_filters=[16, 32])
    ),
    "KerasHub ResNet": Family(_hub("ResNet", **_RESNET)),
    "KerasHub ResNetV2": Family(_hub("ResNet", **_RESNET, use_pre_activation=True)),
    "KerasHub DenseNet": Family(_hub("DenseNet", stackwise_num_repeats=[2, 3])),
    "KerasHub Xception": Family(
        _hub(
            "Xception",
            stackwise_conv_filters=[[16, 32], [32, 64], [64, 64]],
            stackwise_pooling=[True, True, False],
        )
    ),
    "KerasHub EfficientNet": Family(
        _hub(
            "EfficientNet",
            stackwise_width_coefficients=[1.0, 1.0],
            stackwise_depth_coefficients=[1.0, 1.0],
            stackwise_kernel_sizes=[3, 5],
            stackwise_num_repeats=[2, 2],
            stackwise_input_filters=[16, 24],
            stackwise_output_filters=[24, 40],
            stackwise_expansion_ratios=[4, 6],
            stackwise_squeeze_and_excite_ratios=[0.0, 0.25],
            stackwise_strides=[1, 2],
            stackwise_block_types=["fused", "unfused"],
        )
    ),
    "KerasHub MobileNet": Family(
        _hub(
            "MobileNet",
            stackwise_expansion=[[40, 56], [64, 144]],
            stackwise_num_blocks=[2, 2],
            stackwise_num_filters=[[16, 16], [24, 24]],
            stackwise_kernel_size=[[3, 3], [5, 5]],
            stackwise_num_strides=[[2, 1], [2, 1]],
            stackwise_se_ratio=[[None, None], [0.25, 0.25]],
            stackwise_activation=[["relu", "relu"], ["hard_swish", "hard_swish"]],
            stackwise_padding=[[1, 1], [2, 2]],
            output_num_filters=96,
            depthwise_filters=8,
            depthwise_stride=2,
            depthwise_residual=False,
            last_layer_filter=128,
            squeeze_and_excite=0.5,
        )
    ),
    "KerasHub CSPNet": Family(
        _hub("CSPNet", **_CSP, block_type="dark_block", stage_type="csp", block_ratio=[0.5])
    ),
    "KerasHub DarkNet": Family(_hub("CSPNet", **_CSP, block_type="dark_block", stage_type="dark")),
    "KerasHub HGNetV2": Family(
        _hub(
            "HGNetV2",
            depths=[1, 2],
            embedding_size=16,
            hidden_sizes=[32, 64],
            stem_channels=[3, 16, 16],
            hidden_act="relu",
            use_learnable_affine_block=True,
            stackwise_stage_filters=[(16, 16, 32, 1, 2, 3), (32, 16, 64, 2, 2, 5)],
            apply_downsample=[False, True],
            use_lightweight_conv_block=[False, True],
            out_features=["stage1"],
        )
    ),
    "MobileNet": Family(_application("MobileNet")),
    "MobileNetV3Small": Family(_application("MobileNetV3Small"), raw=True),
    "MobileNetV2": Family(_application("MobileNetV2")),
    "ConvNeXtTiny": Family(_application("ConvNeXtTiny"), raw=True),
    "MobileNetV3Large": Family(_application("MobileNetV3Large"), raw=True),
    "EfficientNetV2B0": Family(_application("EfficientNetV2B0"), raw=True),
    "EfficientNetB0": Family(_application("EfficientNetB0"), raw=True),
    "VGG16": Family(_application("VGG16")),
    "ResNet50": Family(_application("ResNet50")),
    "ResNet50V2": Family(_application("ResNet50V2")),
    "Xception": Family(_application("Xception"), 71),
    "InceptionV3": Family(_application("InceptionV3"), 75),
    "DenseNet121": Family(_application("DenseNet121")),
    "NASNetMobile": Family(_application("NASNetMobile")),
    "InceptionResNetV2": Family(_application("InceptionResNetV2"), 75),
}


def needs(name: str) -> str | None:
    """The optional package that a family comes from, where it is not installed."""
    hub = name.startswith("KerasHub") and importlib.util.find_spec("keras_hub") is None
    return "keras-hub" if hub else None


def _waves(count: int, side: int) -> np.ndarray:
    """Images with the spectrum of photographs, from -1 to 1."""
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft2(rng.normal(size=(count, 3, side, side)))
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    images = np.fft.irfft2(spectrum / np.maximum(frequency, 1 / side), (side, side))
    images /= 2 * images.std(axis=(1, 2, 3), keepdims=True)
    return np.clip(images, -1, 1).transpose(0, 2, 3, 1).astype(np.float32)


def _settled(model: keras.Model, images: np.ndarray) -> keras.Model:
    """`model` with statistics and layer scales as training leaves them."""
    for layer in model._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
            if layer.center:
                layer.beta.assign(np.full(layer.beta.shape, STEADY_SHIFT))
        if type(layer).__name__ == "LayerScale":
            layer.gamma.assign(np.full(layer.gamma.shape, TRAINED_SCALE))
    model(images, training=True)
    return model


def outcome(name: str, folder: Path) -> dict[str, str]:
    """For each format, "yes" or the sentence that says why not, or why only in part.

    Raises:
        Exception: If an export fails otherwise than by refusing the model before any work.
    """
    family = FAMILIES[name]
    keras.utils.clear_session()  # layers are called the same whatever was built before
    keras.utils.set_random_seed(0)
    images = _waves(SETTLED + CALIBRATED + COMPARED, family.side)
    if family.raw:
        images = np.rint(127.5 * (images + 1))
    first, ranges, compared = np.split(images, [SETTLED, SETTLED + CALIBRATED])
    model = _settled(family.build((family.side, family.side, 3)), first)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "quantize calibrates on")
        return {
            **_exported(model, FLOAT, folder, verify=compared, calibration=ranges),
            **_quantized(model, folder, ranges, compared),
        }


def _exported(model: keras.Model, formats, folder: Path, **arguments) -> dict[str, str]:
    found, left = {}, list(formats)
    while left:
        try:
            kb.export_model(model, folder, left, **arguments)
        except kb.export.ExportError as error:
            refused = re.search(r"leave format '(\w+)' out", str(error))
            if refused is None:
                raise
            found[refused[1]] = f"No: {error}"
            left.remove(refused[1])
        else:
            return found | dict.fromkeys(left, YES)
    return found


def _quantized(model: keras.Model, folder: Path, ranges, compared) -> dict[str, str]:
    refused = None
    try:
        quantized = kb.quantize(model, ranges)
    except ValueError as error:
        if "be given skip='unsupported'" not in str(error):
            raise
        refused = f"In part: {error}"
        quantized = kb.quantize(model, ranges, skip="unsupported")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = _exported(quantized, INT8, folder, verify=compared, allow_float=refused is not None)
    if any("One step at its input" in str(one.message) for one in caught):
        refused = CHAOTIC if refused is None else f"{refused} {CHAOTIC}"
    return {key: refused or cell if cell == YES else cell for key, cell in found.items()}


HEAD = """# Networks of others

Which files `export_model` writes of the families of `keras.applications`, by their smallest member,
and of small networks of KerasHub's families. "Yes" is a file that was written, run and compared
with Keras; a number refers to a note in the library's own words, given before any conversion.
Families that are not listed have not been run.

"""
FOOT = """
The weights are random. Each network takes the smallest images that it accepts, of as many pixels a
side as the table says, and has ten classes; its batch norms have the statistics of such images and
a shift of 1, so that no rounding grows from layer to layer. Every file answered sixteen images,
noise with the spectrum of photographs, as Keras does, within the tolerance of its format. "In part"
means that `quantize` was given `skip="unsupported"` and `export_model` `allow_float=True`.

`python -m tests.export.families docs/compatibility.md`, in a checkout of the repository, runs what
`docs/compatibility.json` lacks (delete it to repeat everything), and can be stopped: it goes on
where it was. `pytest -m slow tests/export/test_compatibility.py` compares every row with a new run.
"""
COLUMNS = {
    "saved_model": "SavedModel",
    "tflite": "TFLite",
    "tflite_float16": "float16",
    "tflite_dynamic": "dynamic",
    "tflite_int16": "int16",
    "onnx": "ONNX",
    "tflite_int8": "TFLite int8",
    "onnx_int8": "ONNX int8",
}


def page(record: dict[str, dict[str, str]]) -> str:
    """The page of the documentation, in Markdown."""
    notes: dict[str, int] = {}

    def cell(text: str) -> str:
        return YES if text == YES else f"({notes.setdefault(text, len(notes) + 1)})"

    lines = ["| Network | Pixels | " + " | ".join(COLUMNS.values()) + " |"]
    lines.append("|" + " --- |" * (2 + len(COLUMNS)))
    for name in FAMILIES:
        if name in record:
            cells = [cell(record[name][key]) for key in COLUMNS]
            lines.append("| " + " | ".join([name, str(FAMILIES[name].side), *cells]) + " |")
    listed = [f"{number}. {text}" for text, number in notes.items()]
    return HEAD + "\n".join([*lines, "", *listed]) + "\n" + FOOT


def record_beside(path: Path) -> dict[str, dict[str, str]]:
    """What is recorded in the JSON file beside the page."""
    kept = path.with_suffix(".json")
    return json.loads(kept.read_text("utf-8")) if kept.exists() else {}


def main(path: Path, names: list[str]) -> int:
    """Try those of `names`, by default all, that the record lacks; how many failed."""
    failed = 0
    record = record_beside(path)
    for name in names or FAMILIES:
        if name in record or needs(name):
            continue
        print(name, flush=True)
        try:
            with tempfile.TemporaryDirectory() as folder:
                record[name] = outcome(name, Path(folder))
        except Exception:  # a fault of one family leaves the others to be tried
            traceback.print_exc()
            failed += 1
            continue
        path.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
        path.write_text(page(record), "utf-8")
    return failed


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
