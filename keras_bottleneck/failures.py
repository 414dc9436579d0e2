"""Known failures of converters and runtimes: what each means, and what helps.

One row each. The library looks up every foreign exception here; `explain` does the same for one
of your own.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from keras_bottleneck.checks import SHOWN, first_line

GITHUB = "https://github.com"
TENSORFLOW = f"{GITHUB}/tensorflow/tensorflow/issues"
ONNX_RUNTIME = f"{GITHUB}/microsoft/onnxruntime/issues"
TF2ONNX = f"{GITHUB}/onnx/tensorflow-onnx/issues"
KERAS = f"{GITHUB}/keras-team/keras/issues"

TERMINAL_STYLE = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Failure:
    """A failure that others have met before.

    Attributes:
        name: What it is called here.
        pattern: A regular expression that finds it in what the library said. The texts of its
            named groups go into `sentence`.
        sentence: What has happened.
        remedy: What to do about it.
        link: Where it was reported.
    """

    name: str
    pattern: str
    sentence: str
    remedy: str
    link: str


@dataclass(frozen=True)
class Explanation:
    """A known failure in words.

    Attributes:
        failure: Its row.
        sentence: What has happened, with the operators, shapes or types that the text names.
        groups: These, by the names of the pattern's groups.
    """

    failure: Failure
    sentence: str
    groups: dict[str, tuple[str, ...]]

    def __str__(self) -> str:
        return f"{self.sentence}; {self.failure.remedy} ({self.failure.link})"


# The first row that fits is taken: special ones stand before general ones.
FAILURES = (
    # TFLite's converter.
    Failure(
        "operator_without_tflite",
        r"'tf\.(?P<operators>\w+)' op is neither a custom op",
        "TFLite has no built-in operator for {operators}",
        "replace it or export to another format",
        f"{TENSORFLOW}/40157",
    ),
    Failure(
        "representative_dataset",
        r"`?representative_dataset`? must be specified",
        "the converter wants a representative dataset for int8",
        "quantize the model with `quantize`, or leave TFLITE_BUILTINS_INT8 out",
        f"{TENSORFLOW}/38285",
    ),
    Failure(
        "operator_without_int16",
        r"Quantization to 16x8-bit not yet supported for op: '(?P<operators>\w+)'",
        "TFLite has no {operators} with int16 activations",
        "quantize the model with `quantize`, and export it as tflite_int8 instead",
        f"{TENSORFLOW}/61343",
    ),
    Failure(
        "integer_interface_of_float",
        r"inference_input_type and inference_output_type must be tf\.float32",
        "a float model cannot take or return integers",
        "quantize it first, or leave the interface in float32",
        f"{TENSORFLOW}/42082",
    ),
    Failure(
        "dense_per_channel",
        r"'tfl\.transpose' op has mismatched quantized axes",
        "the kernel of a dense layer has a scale for each channel, which the converter cannot turn",
        "give it one scale, as `quantize` does, or make it a 1 x 1 convolution",
        f"{GITHUB}/tensorflow/tflite-micro/pull/2602",
    ),
    Failure(
        "scales_that_differ",
        r"'tfl\.(?P<operators>\w+)' op quantization parameters violate the same scale constraint",
        "the inputs and the output of {operators} have different scales, and must share one",
        "quantize the float model with `quantize`, which shares them",
        f"{TENSORFLOW}/51531",
    ),
    Failure(
        "recurrent_of_any_size",
        r"requires element_shape to be static during TF Lite|Lowering tensor list ops is failed",
        "a recurrent layer has no fixed batch or length",
        "export with `batch_size=1` and a fixed length",
        f"{TENSORFLOW}/62849",
    ),
    Failure(
        "keras2_attribute",
        r"has no attribute '_get_save_spec'",
        "this TensorFlow's converter expects a Keras 2 model",
        "convert from a SavedModel, as `export_model` does, or upgrade TensorFlow",
        f"{TENSORFLOW}/63867",
    ),
    # Tracing a model for any format.
    Failure(
        "numpy_in_a_layer",
        r"Cannot convert a symbolic (?:tf\.)?Tensor .*to a numpy array",
        "a layer calls NumPy on its input, which no graph can hold",
        "write its `call` with keras.ops",
        f"{TENSORFLOW}/36792",
    ),
    Failure(
        "python_condition",
        r"symbolic `tf\.Tensor` as a Python `bool` is not allowed",
        "a layer decides in Python by the value of a tensor",
        "write its `call` with keras.ops.where or keras.ops.cond",
        f"{GITHUB}/google-research/deeplab2/issues/129",
    ),
    Failure(
        "untracked_variable",
        r"references an 'untracked' resource",
        "a layer uses a variable that is not its own",
        "create it in `build` with `self.add_weight`, or set it as an attribute of the layer",
        f"{KERAS}/20676",
    ),
    Failure(
        "grouped_convolution",
        r"does not support grouped convolutions",
        "this TensorFlow has no grouped convolution on CPUs",
        "unset TF_ENABLE_ONEDNN_OPTS=0, or export to TFLite or ONNX",
        f"{TENSORFLOW}/53631",
    ),
    # tf2onnx and its neighbours.
    Failure(
        "operator_without_onnx",
        r"No Op registered for (?P<operators>\w+)",
        "ONNX has no operator for {operators}",
        "replace it or export to another format",
        f"{TF2ONNX}/1926",
    ),
    Failure(
        "numpy_names_removed",
        r"was removed in the NumPy 2\.0 release|'numpy' has no attribute '(?:bool|object|cast)'",
        "a library here is older than the NumPy that it finds",
        "pip install --upgrade tf2onnx onnx",
        f"{TF2ONNX}/2373",
    ),
    Failure(
        "onnx_mapping_removed",
        r"No module named 'onnx\.mapping'|module 'onnx' has no attribute 'mapping'",
        "a library here is older than the onnx that it finds",
        "pip install --upgrade tf2onnx onnxconverter-common, or pip install 'onnx<1.19'",
        f"{GITHUB}/onnx/onnx/issues/7257",
    ),
    Failure(
        "protobuf_versions",
        r"incompatible Protobuf Gencode/Runtime versions|Descriptors cannot be created directly"
        r"|cannot import name 'runtime_version' from 'google\.protobuf'",
        "the installed protobuf does not fit the library that uses it",
        "pip install --upgrade protobuf tensorflow tf2onnx onnx",
        f"{TF2ONNX}/2418",
    ),
    Failure(
        "numpy_binary",
        r"compiled using NumPy 1\.x cannot be run in|_ARRAY_API not found"
        r"|numpy\.dtype size changed",
        "a library here was built for NumPy 1 and meets NumPy 2, or the other way round",
        "pip install --upgrade --force-reinstall that library, in a new virtual environment",
        f"{TENSORFLOW}/90245",
    ),
    Failure(
        "two_gigabytes",
        r"exceeds maximum protobuf size of 2GB|Failed to serialize proto",
        "the model is larger than the 2 GB that an ONNX file can hold",
        "export it as SavedModel, or quantize it",
        f"{GITHUB}/onnx/onnx/issues/4394",
    ),
    # LiteRT.
    Failure(
        "select_operators",
        r"Select TensorFlow op\(s\), included in the given model",
        "the file needs TensorFlow's own operators, which LiteRT does not have",
        "write it with `export_model`, which uses built-in operators only",
        f"{TENSORFLOW}/62097",
    ),
    Failure(
        "edge_tpu",
        r"unresolved custom op: edgetpu-custom-op",
        "the file is compiled for an Edge TPU",
        "run it there with libedgetpu's delegate, and here the file that it was compiled from",
        f"{GITHUB}/google-coral/edgetpu/issues/159",
    ),
    Failure(
        "custom_operator",
        r"Encountered unresolved custom op: (?P<operators>[\w-]+)",
        "the file needs the custom operator {operators}, which LiteRT does not have",
        "convert it without `allow_custom_ops`, or load it where the operator is registered",
        f"{TENSORFLOW}/38341",
    ),
    Failure(
        "operator_too_new",
        r"Didn't find op for builtin opcode '(?P<operators>\w+)' version '(?P<version>\d+)'",
        "the file needs version {version} of operator {operators}, and this runtime is older",
        "upgrade the runtime on the device (here: pip install --upgrade ai-edge-litert)",
        f"{TENSORFLOW}/41943",
    ),
    Failure(
        "no_flatbuffer",
        r"not a valid (?:Flatbuffer buffer|TensorFlow Lite model flatbuffer)|model identifier '",
        "the file is cut off, or no TFLite model",
        "fetch it again; one of a few hundred bytes is a Git LFS pointer",
        f"{TENSORFLOW}/62455",
    ),
    Failure(
        "tflite_shape",
        r"Dimension mismatch\. Got (?P<got>\d+) but expected (?P<wanted>\d+)",
        "the input has {got} where the file takes {wanted}",
        "give one image at a time, or export with `batch_size=None`; `runtime.load` takes any",
        f"{GITHUB}/tensorflow/models/issues/9319",
    ),
    Failure(
        "tflite_type",
        r"Got value of type (?P<got>\w+) but expected type (?P<wanted>\w+)",
        "the input is {got} and the file takes {wanted}",
        "convert it with the input's scale and zero point, as `runtime.load` does",
        f"{TENSORFLOW}/44708",
    ),
    Failure(
        "delegate_of_fixed_sizes",
        r"delegate that only supports static-sized tensors",
        "the delegate wants fixed sizes, and the file leaves some open",
        "export with `batch_size=1`, the default",
        f"{TENSORFLOW}/38036",
    ),
    Failure(
        "failed_to_prepare",
        r"Node number \d+ \((?P<operators>\w+)\) failed to prepare",
        "LiteRT cannot set up {operators}: shapes or scales in the file do not fit",
        "look at it with `audit`, and write it again with `export_model`",
        f"{TENSORFLOW}/49979",
    ),
    # ONNX Runtime.
    Failure(
        "ir_version",
        r"Unsupported model IR version: (?P<found>\d+), max supported IR version: (?P<most>\d+)",
        "the file is of ONNX IR version {found}, and this runtime knows {most} at the most",
        "pip install --upgrade onnxruntime",
        f"{ONNX_RUNTIME}/20559",
    ),
    Failure(
        "opset",
        r"Opset (?P<found>\d+) is under development.*official support for domain \S+ is till "
        r"opset (?P<most>\d+)",
        "the file is of opset {found}, and this runtime knows {most} at the most",
        "pip install --upgrade onnxruntime",
        f"{ONNX_RUNTIME}/5905",
    ),
    Failure(
        "operator_not_implemented",
        r"Could not find an implementation for (?:the node )?(?P<operators>\w+)\(\d+\)",
        "ONNX Runtime does not have {operators} for the types in this file",
        "leave that layer in float (`quantize(..., skip=[...])`), or keep its tensors in float32",
        f"{ONNX_RUNTIME}/12558",
    ),
    Failure(
        "no_onnx_file",
        r"[Pp]rotobuf parsing failed|Error parsing message with type 'onnx\.ModelProto'",
        "the file is cut off, or no ONNX model",
        "fetch it again; one of a few hundred bytes is a Git LFS pointer",
        f"{GITHUB}/onnx/models/issues/569",
    ),
    Failure(
        "onnx_shape",
        r"Got invalid dimensions for input: \S+ for the following indices\s+index: \d+ "
        r"Got: (?P<got>\d+) Expected: (?P<wanted>\d+)",
        "the input has {got} where the file takes {wanted}",
        "give one image at a time, or export with `batch_size=None`; `runtime.load` takes any",
        f"{ONNX_RUNTIME}/2468",
    ),
    Failure(
        "onnx_type",
        r"Unexpected input data type\. Actual: \((?P<got>.+?)\) , expected: \((?P<wanted>.+?)\)",
        "the input is {got} and the file takes {wanted}",
        "convert it with NumPy's `astype`; `runtime.load` does",
        f"{ONNX_RUNTIME}/7340",
    ),
    # .keras files.
    Failure(
        "unknown_class",
        r"Could not locate (?:class|function) '(?P<names>[^']+)'",
        "Keras does not know {names}",
        "import the module that defines it before loading, and register it there with "
        "keras.saving.register_keras_serializable",
        f"{KERAS}/19899",
    ),
    Failure(
        "lambda_layer",
        r"deserialization of a `?Lambda`? layer",
        "a Lambda layer carries Python code, which is not run from a file",
        "replace it by a layer of its own, or by keras.ops on the tensors",
        f"{KERAS}/18284",
    ),
    # Machines.
    Failure(
        "memory",
        r"std::bad_alloc|Unable to allocate [\d.]+ \wiB|Cannot allocate memory|OOM when allocating",
        "there was not enough memory",
        "export one format at a time, each in a process of its own: the converter keeps what it "
        "once took",
        f"{TENSORFLOW}/122598",
    ),
)


def explain(error: BaseException | str) -> Explanation | None:
    """What a converter's or runtime's error means, and what helps; None if it is not known.

    Args:
        error: An exception (those that led to it are looked at too), or its text.

    Returns:
        An `Explanation`; as a string, it is one sentence with remedy and link.

    Example:
        >>> text = "Encountered unresolved custom op: Dilation2D.Node number 2 (Dilation2D) ..."
        >>> print(explain(text).sentence)
        the file needs the custom operator Dilation2D, which LiteRT does not have
    """
    texts = [error] if isinstance(error, str) else [str(link) for link in chain(error)]
    text = TERMINAL_STYLE.sub("", "\n".join(texts))
    for failure in FAILURES:
        matches = list(re.finditer(failure.pattern, text))
        if matches:
            groups = {
                name: tuple(dict.fromkeys(match[name] for match in matches))
                for name in re.compile(failure.pattern).groupindex
            }
            shown = {name: ", ".join(words) for name, words in groups.items()}
            return Explanation(failure, failure.sentence.format(**shown), groups)
    return None


def reason(error: BaseException) -> str:
    """Why a foreign library failed, for one sentence of ours: explained, or its first line."""
    explanation = explain(error)
    if explanation is not None:
        return str(explanation)
    # Keras puts the layer first and what is wrong with it two lines below.
    text = TERMINAL_STYLE.sub("", str(error))
    inside = re.search(r"Exception encountered when calling (.+?)\.\s*\n\s*(\S.*)", text)
    if inside:
        return f"{inside[1]}: {inside[2].strip().rstrip('.')}"[:SHOWN]
    return first_line(error)


def chain(error: BaseException) -> Iterator[BaseException]:
    """`error` and what led to it, also where it was raised `from None`."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__
