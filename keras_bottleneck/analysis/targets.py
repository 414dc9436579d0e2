"""What devices can run, as their own documentation has it: one row each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from keras_bottleneck.graph.training_only import training_only
from keras_bottleneck.keras_private import Call
from keras_bottleneck.layers import CropLike
from keras_bottleneck.quantization.positions import Positions

# A call -> what is wrong with it, or None.
Limit = Callable[[Call], str | None]

# What the layers of `primitive` networks become in a file, in TFLite's terms; "" for nothing.
OPERATORS: dict[type, str] = {
    keras.layers.Conv2D: "CONV_2D",
    keras.layers.DepthwiseConv2D: "DEPTHWISE_CONV_2D",
    keras.layers.Conv2DTranspose: "TRANSPOSE_CONV",
    keras.layers.Dense: "FULLY_CONNECTED",
    keras.layers.Add: "ADD",
    keras.layers.Subtract: "SUB",
    keras.layers.Multiply: "MUL",
    keras.layers.Maximum: "MAXIMUM",
    keras.layers.Minimum: "MINIMUM",
    keras.layers.ReLU: "RELU",
    keras.layers.LeakyReLU: "LEAKY_RELU",
    keras.layers.PReLU: "PRELU",
    keras.layers.Softmax: "SOFTMAX",
    keras.layers.GlobalAveragePooling2D: "MEAN",
    keras.layers.GlobalMaxPooling2D: "REDUCE_MAX",
    keras.layers.AveragePooling2D: "AVERAGE_POOL_2D",
    keras.layers.MaxPooling2D: "MAX_POOL_2D",
    keras.layers.ZeroPadding2D: "PAD",
    keras.layers.Cropping2D: "STRIDED_SLICE",
    CropLike: "STRIDED_SLICE",
    keras.layers.UnitNormalization: "L2_NORMALIZATION",
    keras.layers.Flatten: "RESHAPE",
    keras.layers.Reshape: "RESHAPE",
    keras.layers.Permute: "TRANSPOSE",
    Positions: "RESHAPE",
    keras.layers.Concatenate: "CONCATENATION",
    keras.layers.Identity: "",
}
ACTIVATIONS = {
    keras.activations.sigmoid: "LOGISTIC",
    keras.activations.tanh: "TANH",
    keras.activations.hard_silu: "HARD_SWISH",
    keras.activations.hard_tanh: "RELU_N1_TO_1",
    keras.activations.exponential: "EXP",
    keras.activations.gelu: "GELU",
}
UPSAMPLING = {"nearest": "RESIZE_NEAREST_NEIGHBOR", "bilinear": "RESIZE_BILINEAR"}
# Bare operations have no public classes, only names.
BARE = {
    "Pad": "PAD",
    "Reshape": "RESHAPE",
    "Squeeze": "RESHAPE",
    "ExpandDims": "RESHAPE",
    "Transpose": "TRANSPOSE",
    "Swapaxes": "TRANSPOSE",
    "Moveaxis": "TRANSPOSE",
    "GetItem": "STRIDED_SLICE",
    "Split": "SPLIT",
    "Stack": "PACK",
    "Unstack": "UNPACK",
    "Roll": "CONCATENATION",
    "Repeat": "BROADCAST_TO",
    "BroadcastTo": "BROADCAST_TO",
    "Tile": "TILE",
    "Take": "GATHER",
    "Flip": "REVERSE_V2",
    "DepthToSpace": "DEPTH_TO_SPACE",
    "SpaceToDepth": "SPACE_TO_DEPTH",
    "Max": "REDUCE_MAX",
    "Amax": "REDUCE_MAX",
    "Min": "REDUCE_MIN",
    "Amin": "REDUCE_MIN",
    "Mean": "MEAN",
    "Sum": "SUM",
    "Maximum": "MAXIMUM",
    "Minimum": "MINIMUM",
    "Clip": "MINIMUM",
    "Absolute": "ABS",
    "Gelu": "GELU",
}


def operator(operation: Any) -> str | None:
    """The operator of a layer or bare operation; "" where it leaves none, None where unknown."""
    if training_only(operation):
        return ""
    if isinstance(operation, keras.layers.Activation):
        return ACTIVATIONS.get(operation.activation)
    if isinstance(operation, keras.layers.UpSampling2D):
        return UPSAMPLING.get(operation.interpolation)
    if isinstance(operation, keras.layers.Layer):
        return OPERATORS.get(type(operation))
    return BARE.get(type(operation).__name__)


@dataclass(frozen=True)
class Target:
    """A device or delegate.

    Attributes:
        title: What it is called in reports.
        source: The document that this row follows.
        operators: The operators that it has.
        otherwise: What happens to others.
        dtype: What an activation is there.
        limits: What else is wrong with a call of an operator that it has.
        channels: A number of channels that it works on at a time; 1 where none is documented.
    """

    title: str
    source: str
    operators: frozenset[str]
    otherwise: str
    dtype: str
    limits: tuple[Limit, ...] = ()
    channels: int = 1


def _pads_channels(call: Call) -> str | None:
    widths = getattr(call.operation, "pad_width", ((0, 0),))
    ends = (*widths[0], *widths[-1])
    return "pads channels, where only height and width can be padded" if any(ends) else None


def _single_pixel_pool(call: Call) -> str | None:
    pools = (keras.layers.MaxPooling2D, keras.layers.AveragePooling2D)
    layer = call.operation
    if isinstance(layer, pools) and layer.pool_size == (1, 1) and layer.strides != (1, 1):
        return "is a 1x1 pooling with a stride"
    return None


def _dilated_depthwise(call: Call) -> str | None:
    layer = call.operation
    if isinstance(layer, keras.layers.DepthwiseConv2D) and tuple(layer.dilation_rate) != (1, 1):
        return "is a depthwise convolution with dilation"
    return None


def _uneven_dilation(call: Call) -> str | None:
    layer = call.operation
    if isinstance(layer, keras.layers.Conv2D) and len(set(layer.dilation_rate)) > 1:
        return "has another dilation in height than in width"
    return None


def _ethos_u_stride(call: Call) -> str | None:
    layer = call.operation
    if isinstance(layer, keras.layers.DepthwiseConv2D) and max(layer.strides) > 3:
        return "is a depthwise convolution with a stride above 3"
    if isinstance(layer, keras.layers.Conv2DTranspose) and max(layer.strides) > 2:
        return "is a transposed convolution with a stride above 2"
    if isinstance(layer, keras.layers.Conv2D) and max(layer.strides) > 3:
        plain = layer.padding == "valid" and tuple(layer.dilation_rate) == (1, 1)
        return None if plain else "has a stride above 3 with padding or dilation"
    return None


def _ethos_u_pool(call: Call) -> str | None:
    layer = call.operation
    average = isinstance(layer, keras.layers.AveragePooling2D) and layer.padding == "same"
    if average and max(layer.pool_size) > 8:
        return "is an average pooling over more than 8 pixels a side with padding"
    return None


def _ethos_u_resize(call: Call) -> str | None:
    layer = call.operation
    if not isinstance(layer, keras.layers.UpSampling2D):
        return None
    # Keras interpolates with half-pixel centers.
    factors = (2,) if layer.interpolation == "bilinear" else (2, 4, 8)
    if layer.size in [(factor, factor) for factor in factors]:
        return None
    return f"resizes by another factor than {' or '.join(map(str, factors))}"


# All that quantized networks are made of.
EVERY = frozenset(
    (*OPERATORS.values(), *ACTIVATIONS.values(), *UPSAMPLING.values(), *BARE.values())
)
# Moves of values that few devices have.
UNCOMMON = {"BROADCAST_TO", "GATHER", "REVERSE_V2", "TILE"}

# A new device is one row.
TARGETS: dict[str, Target] = {
    "tflite-micro": Target(
        title="TensorFlow Lite for Microcontrollers",
        source="micro_mutable_op_resolver.h of tensorflow/tflite-micro; CMSIS-NN's functions for "
        "convolutions, which read four int8 values at a time",
        operators=EVERY - {"GELU", "RELU_N1_TO_1", "TILE"},
        otherwise="the model does not run",
        dtype="int8",
        channels=4,
    ),
    "ethos-u": Target(
        title="Arm Ethos-U55 and U65",
        source="`vela --supported-ops-report` of ethos-u-vela 5.2; feature maps are stored in "
        "bricks of 16 channels (NHCWB16)",
        operators=EVERY
        - {"BROADCAST_TO", "DEPTH_TO_SPACE", "GATHER", "L2_NORMALIZATION", "REVERSE_V2"}
        - {"SPACE_TO_DEPTH"},
        otherwise="it runs on the CPU beside the NPU",
        dtype="int8",
        limits=(_ethos_u_stride, _ethos_u_pool, _ethos_u_resize),
        channels=16,
    ),
    "edgetpu": Target(
        title="Coral Edge TPU",
        source="coral.ai/docs/edgetpu/models-intro, table of supported operations",
        operators=EVERY
        - UNCOMMON
        - {"ABS", "DEPTH_TO_SPACE", "EXP", "GELU", "HARD_SWISH", "LEAKY_RELU", "UNPACK"},
        otherwise="it and all behind it run on the CPU",
        dtype="int8",
        limits=(_pads_channels, _dilated_depthwise, _uneven_dilation),
    ),
    "xnnpack": Target(
        title="XNNPACK in LiteRT",
        source="tensorflow/lite/delegates/xnnpack/README.md",
        operators=EVERY
        - UNCOMMON
        - {"GELU", "L2_NORMALIZATION", "PACK", "REDUCE_MIN", "RESIZE_NEAREST_NEIGHBOR", "UNPACK"},
        otherwise="LiteRT's own kernel runs it",
        dtype="float32",
        limits=(_single_pixel_pool,),
    ),
    "webgpu": Target(
        title="WebGPU in ONNX Runtime Web",
        source="js/web/docs/webgpu-operators.md of microsoft/onnxruntime; its convolutions "
        "compute four channels at a time where both ends are multiples of four",
        operators=EVERY - {"MAXIMUM", "MINIMUM", "PRELU", "REVERSE_V2", "SPACE_TO_DEPTH"},
        otherwise="it runs on the CPU, with copies both ways",
        dtype="float32",
        channels=4,
    ),
    "coreml": Target(
        title="Core ML delegate of LiteRT",
        source="tensorflow/lite/delegates/coreml/README.md",
        operators=EVERY
        - UNCOMMON
        - {"ABS", "DEPTH_TO_SPACE", "EXP", "GELU", "L2_NORMALIZATION", "LEAKY_RELU", "MAXIMUM"}
        - {"MEAN", "MINIMUM", "PACK", "PRELU", "REDUCE_MAX", "REDUCE_MIN", "RESHAPE"}
        - {"RESIZE_NEAREST_NEIGHBOR", "SPACE_TO_DEPTH", "SPLIT", "STRIDED_SLICE", "SUB", "SUM"}
        - {"TRANSPOSE", "UNPACK"},
        otherwise="it runs on the CPU",
        dtype="float32",
        limits=(_pads_channels,),
    ),
}
