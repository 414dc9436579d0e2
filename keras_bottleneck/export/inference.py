"""The network as it is exported: float32, folded, static, without what only training needs."""

from collections import Counter
from typing import Any

import keras
import numpy as np

from keras_bottleneck import checks, graph, keras_private
from keras_bottleneck.export.names import ScopeNames
from keras_bottleneck.export.tensorflow_operators import plain
from keras_bottleneck.graph.cast import in_float32
from keras_bottleneck.graph.flatten import is_flat, opened
from keras_bottleneck.graph.rebuild import Copies, copied, functional, rebuild
from keras_bottleneck.graph.training_only import training_only
from keras_bottleneck.keras_private import Call
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.quantization.fake_quant import step_of
from keras_bottleneck.quantization.kernels import QuantizedConv2DTranspose, QuantizedKernel
from keras_bottleneck.quantization.quantizers import FakeQuantize, is_quantized

INPUT_NAME = "image"


def float32_model(model: keras.Model) -> keras.Model:
    """`model` itself, or a float32 copy where any of its layers computes in half precision.

    The copy is what artifacts are compared with: half precision is a way to train, not what is
    shipped.

    Raises:
        ValueError: If `model` is subclassed, has no input shape, or is no model of images.
    """
    network = functional(model)
    single = len(network.inputs) == 1 and len(network.outputs) == 1
    if not single or len(network.inputs[0].shape) != 4 or network.inputs[0].shape[-1] is None:
        shapes = [tensor.shape for tensor in (*network.inputs, *network.outputs)]
        raise ValueError(
            "`model` must have one input (batch, height, width, channels) and one output. "
            f"Received: model={model.name!r} with inputs and outputs {shapes}"
        )
    return in_float32(model)


def inference_model(
    model: keras.Model, input_shape: tuple[int | None, ...]
) -> tuple[keras.Model, ScopeNames]:
    """The network that every artifact is written from, and what the user calls its layers.

    Args:
        model: A float32 model of images.
        input_shape: (batch, height, width, channels) of the artifacts; batch may be None.

    Returns:
        A folded functional model whose input is called "image", and whose layers have names that
        every converter takes, as does its own; and the names that `model` has for all these.
    """
    # What `quantize` returns has been folded, unless it has become part of another model.
    folded = model if is_quantized(model) and is_flat(model) else graph.fold(opened(model))
    image = keras.Input(batch_shape=input_shape, name=INPUT_NAME)
    names = ScopeNames.of(folded)
    return rebuild(folded, _Exportable(names).visit, [image], name=names.new(model.name)), names


class _Exportable:
    """Copies calls in forms that every converter takes, leaving out training's layers."""

    def __init__(self, names: ScopeNames) -> None:
        self.names = names
        self.copies = Copies()
        self.uses: Counter[str] = Counter()

    def visit(self, call: Call, args: Any, kwargs: Any) -> Any:
        operation = call.operation
        if training_only(operation):
            return keras_private.tensors_in(args, kwargs)[0]
        if isinstance(operation, FakeQuantize):
            # How the runtime rounds is the runtime's business.
            return self.copies.call(operation, args[:1], {}, self._frozen)
        if isinstance(operation, QuantizedKernel):
            return self._own_kernel(operation, args, kwargs)
        return self.copies.call(operation, args, kwargs, self._copied)

    def _frozen(self, layer: FakeQuantize, args: Any, kwargs: Any) -> tuple[Any, Any]:
        copy, outputs = self._copied(layer, args, kwargs)
        copy.freeze()
        return copy, outputs

    def _own_kernel(self, layer: QuantizedKernel, args: Any, kwargs: Any) -> Any:
        """A copy for this call alone: converters leave a kernel with two readers in float."""
        self.uses[layer.name] += 1
        number = self.uses[layer.name]
        wanted = layer.name if number == 1 else f"{layer.name}_call{number}"
        copy, outputs = self._copied(layer, args, kwargs, wanted)
        copy.freeze_kernel()
        if isinstance(copy, QuantizedConv2DTranspose):
            _keep_bias(copy, keras_private.maker(args[1]))
        return outputs

    def _copied(
        self, operation: Any, args: Any, kwargs: Any, wanted: str | None = None
    ) -> tuple[Any, Any]:
        # The name of the new input may be that of one of the user's layers.
        if operation.name == INPUT_NAME:
            wanted = f"{INPUT_NAME}_1"
        name = self.names.new(operation.name, wanted)
        args, kwargs = keras.tree.map_structure(_single, (args, kwargs))
        make = plain(operation)
        if make is None:
            return copied(operation, args, kwargs, name=name)
        return make(operation, args, kwargs, name)


def _keep_bias(layer: QuantizedConv2DTranspose, rounding: FakeQuantize) -> None:
    """Put one unit of its int32 grid into a bias that is zero on it, next to nothing in the output.

    The TFLite converter drops zeros, and leaves a ReLU behind what has no bias in float.

    Args:
        layer: A transposed convolution.
        rounding: What rounds its input.
    """
    step = step_of(rounding.low, rounding.high)
    bias = np.array(keras.ops.convert_to_numpy(layer.quantized_bias(step)))
    if not bias.any():
        bias[0] = keras.ops.convert_to_numpy(step * layer.kernel_step)
        layer.bias.assign(bias)


def _single(argument: Any) -> Any:
    """An argument of a call, in float32 if it is a constant in double precision.

    NumPy's numbers are, such as `np.sqrt(2.0)`, and with them whatever they are added to.
    """
    if isinstance(argument, keras.KerasTensor) or not hasattr(argument, "dtype"):
        return argument
    double = keras.backend.standardize_dtype(argument.dtype) == "float64"
    return np.asarray(argument, np.float32) if double else argument


def artifact_shape(
    model: keras.Model,
    image_size: Any,
    batch_size: Any,
    preprocessing: Preprocessing | None,
) -> tuple[int | None, ...]:
    """(batch, height, width, channels) of the artifacts.

    Raises:
        ValueError: If `image_size` contradicts the model or `preprocessing`, or nothing says
            the size.
    """
    batch = None if batch_size is None else checks.integer("batch_size", batch_size)
    _, height, width, channels = model.inputs[0].shape
    size = checks.size("image_size", image_size) if image_size is not None else None
    if preprocessing is not None:
        prepared = preprocessing.image_size
        if size not in (None, prepared):
            raise checks.reject("image_size", image_size, f"{prepared}, as in `preprocessing`")
        size = prepared
    if size is None:
        if height is None or width is None:
            accepted = "(height, width), because the model takes images of any size"
            raise checks.reject("image_size", image_size, accepted)
        size = (height, width)
    if any(own not in (None, side) for own, side in zip((height, width), size, strict=True)):
        raise checks.reject("image_size", image_size, f"{(height, width)}, the model's own")
    return batch, *size, channels
