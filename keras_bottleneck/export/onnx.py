"""ONNX."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_bottleneck.export import qdq
from keras_bottleneck.export.errors import translated
from keras_bottleneck.export.inference import INPUT_NAME
from keras_bottleneck.export.onnx_operators import HANDLERS, mend, mend_frozen
from keras_bottleneck.export.source import Source
from keras_bottleneck.quantization.kernels import QuantizedKernel

# The first with per-channel QuantizeLinear semantics settled in all runtimes of today.
OPSET = 17
# Bytes of a kernel that may be copied.
SMALL = 2**12


def write(source: Source, path: Path) -> None:
    """Write `source` as ONNX."""
    import onnx

    onnx.save(_converted(source, lambda proto: proto), str(path))


def write_int8(source: Source, path: Path) -> None:
    """Write `source`, a quantized model, with int8 kernels, int32 biases and 8-bit activations."""
    import onnx

    layers = [layer for layer in source.model.layers if isinstance(layer, QuantizedKernel)]
    kernels = [_kernel(*pair) for pair in zip(layers, qdq.marks(len(layers)), strict=True)]
    with _marked(layers, kernels):
        proto = _converted(source, lambda proto: qdq.rewrite(proto, kernels))
    onnx.save(proto, str(path))


def _converted(source: Source, finish: Callable[[Any], Any]) -> Any:
    with translated(f"ONNX conversion of {source.title}", source.layer_with):
        import onnx

        proto = finish(_proto(source))
        onnx.checker.check_model(proto)
    return proto


def _proto(source: Source) -> Any:
    """The model as tf2onnx converts it.

    These are the steps of `tf2onnx.convert.from_function`, but that there the optimizer copies all
    weights in each of its two dozen passes, which takes three times as long as the rest.
    """
    import tensorflow as tf
    from tf2onnx import optimizer, tf_loader, tfonnx

    traced = source.function.get_concrete_function()
    # Behind the image come variables and constants that the function has captured. TensorFlow
    # freezes the variables only, and leaves the constants inputs of the graph.
    image, *inner = traced.inputs
    outer = traced.captured_inputs
    constants = {
        placeholder.name: value.numpy()
        for placeholder, value in zip(inner, outer, strict=True)
        if value.dtype != tf.resource
    }
    (output,) = (tensor.name for tensor in traced.outputs)
    frozen = tf_loader.from_function(traced, [image.name, *constants], [output])
    mend_frozen(frozen)
    with tf.Graph().as_default() as graph:
        frozen_in = {name: tf.constant(value) for name, value in constants.items()}
        tf.import_graph_def(frozen, input_map=frozen_in, name="")
        converted = tfonnx.process_tf_graph(
            graph,
            opset=OPSET,
            input_names=[image.name],
            output_names=[output],
            tensors_to_rename={image.name: INPUT_NAME, output: source.output_name},
            custom_op_handlers={operator: (make, []) for operator, make in HANDLERS.items()},
        )
    mend(converted)
    kernels = _taken_out(converted)
    optimized = optimizer.optimize_graph(converted, catch_errors=False)
    proto = optimized.make_model(source.model.name)
    for tensor in proto.graph.initializer:
        if tensor.name in kernels:
            tensor.raw_data = kernels.pop(tensor.name)
    if kernels:
        raise ValueError(f"tf2onnx has lost the kernel {next(iter(kernels))}")
    return proto


def _taken_out(graph: Any) -> dict[str, bytes]:
    """The contents of all kernels by the names of their tensors, removed from tf2onnx's `graph`.

    Each leaves a number of its own, so that no two are taken for equal; whoever reads it for
    values fails, since they are fewer than its shape says.
    """
    taken = {}
    for node in graph.get_nodes():
        if not node.is_const():
            continue
        readers = graph.find_output_consumers(node.output[0])
        if readers and all(_reads_as_it_is(graph, node, reader) for reader in readers):
            tensor = node.get_attr("value").t
            if len(tensor.raw_data) > SMALL:
                taken[node.output[0]] = tensor.raw_data
                tensor.raw_data = len(taken).to_bytes(4, "little")
    return taken


def _reads_as_it_is(graph: Any, kernel: Any, reader: Any) -> bool:
    """Whether `reader` is a convolution whose `kernel` the optimizer has no reason to change.

    It multiplies constants behind a convolution without bias into the kernel.
    """
    if reader.type != "Conv" or reader.input[1] != kernel.output[0]:
        return False
    turned = graph.find_output_consumers(reader.output[0])
    behind = [reader for node in turned for reader in graph.find_output_consumers(node.output[0])]
    return len(reader.input) > 2 or all(node.type != "Mul" for node in (*turned, *behind))


def _kernel(layer: QuantizedKernel, mark: float) -> qdq.Kernel:
    """The kernel of `layer` in ONNX's layout."""
    values, steps, bias = (
        np.asarray(keras.ops.convert_to_numpy(tensor))
        for tensor in (layer.quantized_kernel(), layer.kernel_step, layer.bias)
    )
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        values = values.transpose(2, 3, 0, 1)
    elif values.ndim == 4:
        values = values.transpose(3, 2, 0, 1)
    return qdq.Kernel(layer.name, mark, np.ascontiguousarray(values), steps, bias)


@contextmanager
def _marked(layers: list[QuantizedKernel], kernels: list[qdq.Kernel]) -> Iterator[None]:
    """Inside, kernels and biases hold the marks of the kernels, and lie on grids on which they can.

    tf2onnx shares equal constants, and leaves out a bias of zeros.
    """
    variables = [(layer.kernel, layer.bias, layer.reach) for layer in layers]
    values = [tuple(map(keras.ops.convert_to_numpy, of_layer)) for of_layer in variables]
    try:
        for kernel, of_layer in zip(kernels, variables, strict=True):
            for variable in of_layer:
                variable.assign(np.full(variable.shape, kernel.mark))
        yield
    finally:
        for of_layer, kept in zip(variables, values, strict=True):
            for variable, value in zip(of_layer, kept, strict=True):
                variable.assign(value)
