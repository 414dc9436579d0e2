"""Layers that are one plain TensorFlow operator, where Keras's own way does not convert."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import keras
import numpy as np

from keras_bottleneck.quantization.boundary import Boundary
from keras_bottleneck.quantization.kernels import QuantizedConv2D

Make = Callable[[Any, Any, Any, str], tuple[Any, Any]]


class PlainGroups:
    """Convolves for export, in place of Keras's own way.

    Keras wraps grouped convolutions in a compiled function, of which tf2onnx makes an invalid
    graph; `tf.nn.conv2d` finds the groups from the kernel's shape and converts everywhere.
    """

    strides: tuple[int, int]
    padding: str
    dilation_rate: tuple[int, int]

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """The convolution without bias and activation."""
        import tensorflow as tf

        y = tf.nn.conv2d(
            inputs,
            kernel,
            strides=self.strides,
            padding=self.padding.upper(),
            dilations=self.dilation_rate,
        )
        # Says what is so, and goes in every conversion. In a SavedModel it keeps the bias apart:
        # where TensorFlow runs without oneDNN, it cannot compute what it would fuse
        # (tensorflow#53631).
        return tf.ensure_shape(y, y.shape)


class GroupedConv2D(PlainGroups, keras.layers.Conv2D):
    """`keras.layers.Conv2D(groups=...)` for export."""


class GroupedQuantizedConv2D(PlainGroups, QuantizedConv2D):
    """`QuantizedConv2D(groups=...)` for export."""


class PlainOperation(keras.Operation):
    """What represents a bare operation of Keras in an export."""

    def __init__(self, original: Any, *, name: str) -> None:
        super().__init__(name=name)
        self.original = original

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """The spec of the operation itself."""
        return self.original.compute_output_spec(*args, **kwargs)


class PlainSum(PlainOperation):
    """`keras.ops.add` for export."""

    def call(self, x1: Any, x2: Any) -> Any:
        """The sum."""
        import tensorflow as tf

        if _is_constant(x2) and tf.is_tensor(x1):
            x2 = _as_bias(x1, x2)
        return tf.add(*_apart(x1, x2))


class PlainDifference(PlainOperation):
    """`keras.ops.subtract` for export."""

    def call(self, x1: Any, x2: Any) -> Any:
        """The difference."""
        import tensorflow as tf

        return tf.subtract(*_apart(x1, x2))


def _apart(x1: Any, x2: Any) -> list[Any]:
    """Both as tensors of one dtype, of which TensorFlow merges none with a constant.

    In a SavedModel, it adds constants to the bias of the convolution before. It does so for one
    value, and for a map of one channel, too, and computes whatever lies behind them in memory.
    """
    import tensorflow as tf

    dtype = keras.backend.result_type(*(getattr(x, "dtype", type(x)) for x in (x1, x2)))
    constant = _is_constant(x1) or _is_constant(x2)
    tensors = [(x, keras.ops.convert_to_tensor(x, dtype)) for x in (x1, x2)]
    return [
        tf.ensure_shape(tensor, tensor.shape) if constant and not _is_constant(x) else tensor
        for x, tensor in tensors
    ]


def _is_constant(value: Any) -> bool:
    import tensorflow as tf

    return not tf.is_tensor(value) or hasattr(value, "numpy")


def _as_bias(x: Any, constant: Any) -> Any:
    """`constant` in the shape in which Keras adds it to `x`.

    Keras takes a vector for a bias of the last axis, or else of the second one, if it has as many
    values, even where its own shape puts it on another axis.
    """
    sides = [side for side in np.shape(constant) if side != 1]
    axes = [axis for axis in (len(x.shape) - 1, 1) if sides == [x.shape[axis]]]
    if len(x.shape) < 2 or not axes:
        return constant
    return np.reshape(constant, [-1 if axis == axes[0] else 1 for axis in range(len(x.shape))])


class PlainIndex(PlainOperation):
    """`keras.ops.argmax` or `argmin` for export.

    Keras tells 0.0 from -0.0 by their bits, for which TFLite and ONNX have no operators.
    """

    FUNCTIONS: ClassVar[dict[str, str]] = {"Argmax": "argmax", "Argmin": "argmin"}

    def call(self, x: Any) -> Any:
        """The indices, int32."""
        import tensorflow as tf

        axis = self.original.axis
        if axis is None:
            return self.original.call(x)
        find = getattr(tf, self.FUNCTIONS[type(self.original).__name__])
        index = find(x, axis=axis, output_type=tf.int32)
        return tf.expand_dims(index, axis) if self.original.keepdims else index


class PlainUpSampling2D(keras.layers.UpSampling2D):
    """`keras.layers.UpSampling2D(interpolation="nearest")` for export, of a known size.

    Keras repeats rows and columns, which becomes five operators on five axes.
    """

    def call(self, inputs: Any) -> Any:
        """Each pixel, repeated."""
        import tensorflow as tf

        height, width = inputs.shape[1:3]
        size = (height * self.size[0], width * self.size[1])
        # Not `tf.image.resize`: its half-pixel centres, the same for whole factors, are an
        # attribute that ONNX has given up.
        return tf.raw_ops.ResizeNearestNeighbor(images=inputs, size=size)


class ByMatrices:
    """Resizes images of a known size for export, with a matrix for rows and one for columns.

    What TFLite has no operator for, and ONNX only one that weighs pixels otherwise. The matrices
    are what Keras makes of the unit matrix.
    """

    interpolation: str

    def build(self, input_shape: Any) -> None:
        """Make the matrices for images of `input_shape`."""
        _, height, width, _ = input_shape
        _, rows, columns, _ = self.compute_output_shape(input_shape)  # type: ignore[attr-defined]
        self.rows = self._matrix(height, rows)
        self.columns = self._matrix(width, columns)
        super().build(input_shape)  # type: ignore[misc]

    def _matrix(self, before: int, after: int) -> np.ndarray[Any, Any]:
        """(after, before)."""
        unit = np.eye(before, dtype=np.float32)[..., np.newaxis]
        resized = keras.ops.image.resize(
            unit,
            (after, before),
            interpolation=self.interpolation,
            antialias=getattr(self, "antialias", False),
            data_format="channels_last",
        )
        return np.asarray(keras.ops.convert_to_numpy(resized))[..., 0]

    def call(self, inputs: Any) -> Any:
        """`inputs`, resized."""
        import tensorflow as tf

        return tf.einsum("oh,bhwc,pw->bopc", self.rows, inputs, self.columns)


class PlainSmoothUpSampling2D(ByMatrices, keras.layers.UpSampling2D):
    """`keras.layers.UpSampling2D` for export, smoother than bilinear."""


class PlainResizing(ByMatrices, keras.layers.Resizing):
    """`keras.layers.Resizing` for export, smoother than bilinear."""


class PlainUnitNormalization(keras.layers.UnitNormalization):
    """`keras.layers.UnitNormalization` for export.

    TFLite has an operator for it, which its converter finds in this form alone.
    """

    def call(self, inputs: Any) -> Any:
        """`inputs` at length 1."""
        import tensorflow as tf

        return tf.math.l2_normalize(inputs, self.axis)


class PlainBoundary(Boundary):
    """`Boundary` for export: the sign changed twice.

    The TFLite converter quantizes whatever stands between two quantized tensors, with scales of
    its own; it has no integer operator for the second change. Two of the same would be left out.
    """

    def call(self, x: Any) -> Any:
        """`x` as it is."""
        return -(x * -1.0)


GROUPED: dict[type, type[keras.layers.Layer]] = {
    keras.layers.Conv2D: GroupedConv2D,
    QuantizedConv2D: GroupedQuantizedConv2D,
}

# Bare operations have no public classes, only names.
OPERATIONS: dict[str, type[PlainOperation]] = {
    "Add": PlainSum,
    "Subtract": PlainDifference,
    **dict.fromkeys(PlainIndex.FUNCTIONS, PlainIndex),
}


def plain(operation: Any) -> Make | None:
    """What makes a plain copy of `operation`; None where it converts as it is."""
    if isinstance(operation, keras.layers.Layer):
        layer = _plain_layer(operation)
        return None if layer is None else partial(_layer, layer)
    bare = OPERATIONS.get(type(operation).__name__)
    return None if bare is None else partial(_operation, bare)


def _operation(
    kind: type[PlainOperation], operation: Any, args: Any, kwargs: Any, name: str
) -> tuple[Any, Any]:
    copy = kind(operation, name=name)
    return copy, copy(*args, **kwargs)


def _layer(
    kind: type[keras.layers.Layer], layer: Any, args: Any, kwargs: Any, name: str
) -> tuple[Any, Any]:
    copy = kind.from_config({**layer.get_config(), "name": name})
    outputs = copy(*args, **kwargs)
    copy.set_weights(layer.get_weights())
    return copy, outputs


def _plain_layer(layer: Any) -> type[keras.layers.Layer] | None:
    kind = type(layer)
    if kind in GROUPED and layer.groups > 1:
        return GROUPED[kind]
    if kind is keras.layers.UpSampling2D and layer.data_format == "channels_last":
        return UP_SAMPLING.get(layer.interpolation)
    if kind is keras.layers.Resizing and layer.data_format == "channels_last":
        whole = not layer.crop_to_aspect_ratio and not layer.pad_to_aspect_ratio
        smooth = layer.antialias or layer.interpolation not in ("nearest", "bilinear")
        return PlainResizing if whole and smooth and layer.interpolation != "nearest" else None
    if kind is keras.layers.UnitNormalization:
        return PlainUnitNormalization
    if kind is Boundary:
        return PlainBoundary
    return None


UP_SAMPLING: dict[str, type[keras.layers.Layer]] = {
    "nearest": PlainUpSampling2D,
    "bicubic": PlainSmoothUpSampling2D,
    "lanczos3": PlainSmoothUpSampling2D,
    "lanczos5": PlainSmoothUpSampling2D,
}
