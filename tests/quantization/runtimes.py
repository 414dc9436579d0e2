"""The int8 runtimes, and what can be read out of their files."""

from collections import Counter, namedtuple

import numpy as np
import pytest

NEEDED = "files are compared with the runtimes that run them"
onnx = pytest.importorskip("onnx", reason=NEEDED)
onnxruntime = pytest.importorskip("onnxruntime", reason=NEEDED)
schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason=NEEDED)
litert_interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason=NEEDED)

# `codes` is None for what is computed; `step` and `zero` are arrays, one for each channel.
Tensor = namedtuple("Tensor", "index name shape dtype step zero codes")
Operator = namedtuple("Operator", "kind inputs outputs")
OnnxKernel = namedtuple("OnnxKernel", "kernel_step kernel bias_step bias")

BUILT_IN = litert_interpreter.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
KINDS = {value: name for name, value in vars(schema.BuiltinOperator).items()}
TYPES = {schema.TensorType.INT8: "int8", schema.TensorType.INT32: "int32"}


def litert(path, resolver=BUILT_IN):
    """A function from one image (1, ...) to the output of a TFLite file, and its interpreter."""
    interpreter = litert_interpreter.Interpreter(
        str(path),
        num_threads=1,
        experimental_op_resolver_type=resolver,
        experimental_preserve_all_tensors=resolver is BUILT_IN,
    )
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    target = interpreter.get_output_details()[0]["index"]

    def run(image):
        interpreter.set_tensor(source, image)
        interpreter.invoke()
        return interpreter.get_tensor(target)

    return run, interpreter


def built_in(path):
    """A TFLite file in LiteRT's own kernels."""
    return litert(path)[0]


def xnnpack(path):
    """A TFLite file as LiteRT runs it by default."""
    return litert(path, litert_interpreter.OpResolverType.AUTO)[0]


def onnx_runtime(path):
    """An ONNX file in ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    # Processors without VNNI saturate sums of two products otherwise.
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda image: session.run(None, {name: image})[0]


def fused_operators(path, scratch):
    """What ONNX Runtime makes of the operators of a file: kind to number of uses."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(scratch)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(str(scratch)).graph.node)


def read_tflite(path):
    """The tensors and operators of a TFLite file, in its order."""
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    (graph,) = model.subgraphs
    tensors = [
        _tensor(index, tensor, model.buffers[tensor.buffer].data)
        for index, tensor in enumerate(graph.tensors)
    ]
    operators = []
    for one in graph.operators:
        code = model.operatorCodes[one.opcodeIndex]
        kind = KINDS[max(code.builtinCode, code.deprecatedBuiltinCode)]
        inputs = [tensors[index] for index in one.inputs if index >= 0]
        operators.append(Operator(kind, inputs, [tensors[index] for index in one.outputs]))
    return tensors, operators


def _tensor(index, tensor, data):
    dtype = TYPES.get(tensor.type)
    shape = tuple(int(side) for side in tensor.shape) if tensor.shape is not None else ()
    grid = tensor.quantization
    found = grid is not None and grid.scale is not None
    step, zero = (grid.scale, grid.zeroPoint) if found else (np.zeros(0), np.zeros(0, int))
    stored = data is not None and len(data) and dtype
    codes = np.frombuffer(bytes(data), dtype).reshape(shape) if stored else None
    return Tensor(index, tensor.name.decode(), shape, dtype, step, zero, codes)


def read_onnx(path):
    """Of an ONNX file, the grids (step, zero) of activations, and each layer's integers."""
    graph = onnx.load(str(path)).graph
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    readers = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    grids, kernels = set(), {}
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            grids.add((float(constants[node.input[1]]), int(constants[node.input[2]])))
        if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
            continue
        made = makers.get(node.input[1])
        if made is None or made.op_type != "DequantizeLinear":
            continue
        bias = node.input[2] if len(node.input) > 2 else _added(readers[node.output[0]], makers)
        codes, step = (constants[name] for name in made.input[:2])
        bias_codes, bias_step = (constants[name] for name in makers[bias].input[:2])
        transposed = any(one.name == "transB" and one.i for one in node.attribute)
        codes = codes.transpose(2, 3, 1, 0) if codes.ndim == 4 else codes
        name = node.input[1].removesuffix("_kernel")
        codes = codes.T if transposed else codes
        kernels[name] = OnnxKernel(step, codes, bias_step, bias_codes)
    return grids, kernels


def _added(readers, makers):
    """The bias that an Add behind a node holds."""
    (add,) = (node for node in readers if node.op_type == "Add")
    return next(one for one in add.input if makers[one].input[0].endswith("_bias_codes"))
