"""What is inside a .tflite or .onnx file: operators, types, and what will not run on a device."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_bottleneck import checks
from keras_bottleneck.export.printing import Printable

# Weights left behind as variables: LiteRT's delegates read garbage from them.
VARIABLES = ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE")


@dataclass(frozen=True)
class AuditReport(Printable):
    """The result of `audit`; printing it shows a table.

    Attributes:
        path: The file.
        operators: Operator name to number of uses.
        tensor_types: Type name to number of tensors.
        dynamic: Inputs and outputs with a dimension that is not fixed.
        foreign: Operators that not every runtime has: custom ones, TensorFlow's (Flex), variables.
        float_operators: In a file with int8 weights, the operators that still compute in float
            on a float tensor; empty in a float file.
        per_channel: Kernels quantized per channel and in all.
    """

    path: Path
    operators: Counter[str]
    tensor_types: Counter[str]
    dynamic: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    float_operators: Counter[str] = field(default_factory=Counter)
    per_channel: tuple[int, int] = (0, 0)

    @property
    def problems(self) -> tuple[str, ...]:
        """What will not run on every device, one sentence each; empty for a clean file."""
        found = [f"{name} has a dimension that is not fixed" for name in self.dynamic]
        found += [f"operator {name} is not built into every runtime" for name in self.foreign]
        return tuple(found)

    def __rich__(self) -> Any:
        from rich.table import Table

        table = Table(title=str(self.path.name))
        table.add_column("operator")
        table.add_column("uses", justify="right")
        for name, uses in self.operators.most_common():
            table.add_row(name, str(uses))
        table.add_section()
        for name, uses in self.tensor_types.most_common():
            table.add_row(f"{name} tensors", str(uses))
        if self.float_operators:
            table.add_row("operators in float", str(self.float_operators.total()))
        if self.per_channel[1]:
            table.add_row("kernels per channel", "{} of {}".format(*self.per_channel))
        table.add_section()
        for problem in self.problems or ("no problem found",):
            table.add_row(problem, "")
        return table


def audit(path: str | Path) -> AuditReport:
    """Read a .tflite or .onnx file without running it.

    Args:
        path: The file; any one, not only those that this package wrote.

    Returns:
        An `AuditReport`: operator counts, tensor types, float islands in an int8 file,
        dimensions that are not fixed, custom and Flex operators.

    Raises:
        ValueError: If there is no such file, or it is neither kind.

    Example:
        >>> audit("exported/resnet50.tflite").operators["CONV_2D"]  # doctest: +SKIP
        53
    """
    if not isinstance(path, (str, Path)) or Path(path).suffix.lower() not in READERS:
        raise checks.reject("path", str(path), f"a file that ends in {' or '.join(READERS)}")
    file = Path(path)
    kind = file.suffix.lower()
    if not file.is_file():
        raise checks.reject("path", str(path), "an existing file")
    try:
        return READERS[kind](file)
    except ImportError:
        raise
    except Exception as error:  # both parsers raise anything on damaged bytes
        reason = checks.first_line(error)
        raise checks.reject("path", str(path), f"a whole {kind} file ({reason})") from None


def _audit_tflite(path: Path) -> AuditReport:
    from ai_edge_litert import schema_py_generated as schema

    content = path.read_bytes()
    if content[4:8] != b"TFL3":
        raise ValueError("no TFL3 mark")
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    operators = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    types = {value: name for name, value in vars(schema.TensorType).items()}
    uses: Counter[str] = Counter()
    tensor_types: Counter[str] = Counter()
    float_operators: Counter[str] = Counter()
    foreign = []
    kernels = per_channel = 0
    for graph in model.subgraphs:
        tensor_types.update(types[tensor.type] for tensor in graph.tensors)
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            name = operators[max(code.builtinCode, code.deprecatedBuiltinCode)]
            if code.customCode:
                name = code.customCode.decode()
            if code.customCode or name in VARIABLES:
                foreign.append(name)
            uses[name] += 1
            inputs = [graph.tensors[index] for index in operator.inputs if index >= 0]
            if any(types[graph.tensors[index].type] == "FLOAT32" for index in operator.outputs):
                float_operators[name] += 1
            if name in ("CONV_2D", "DEPTHWISE_CONV_2D") and types[inputs[1].type] == "INT8":
                kernels += 1
                per_channel += len(inputs[1].quantization.scale) > 1
    main = model.subgraphs[0]
    ends = [main.tensors[index] for index in (*main.inputs, *main.outputs)]
    return AuditReport(
        path=path,
        operators=uses,
        tensor_types=tensor_types,
        dynamic=tuple(tensor.name.decode() for tensor in ends if _is_dynamic(tensor)),
        foreign=tuple(dict.fromkeys(foreign)),
        float_operators=float_operators if tensor_types["INT8"] else Counter(),
        per_channel=(per_channel, kernels),
    )


def _is_dynamic(tensor: Any) -> bool:
    signature = tensor.shapeSignature
    return signature is not None and any(side < 0 for side in signature)


def _audit_onnx(path: Path) -> AuditReport:
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    onnx.checker.check_model(model)
    names = onnx.TensorProto.DataType.Name
    dynamic = [
        value.name
        for value in (*model.graph.input, *model.graph.output)
        if any(not side.dim_value for side in value.type.tensor_type.shape.dim)
    ]
    foreign = [node.op_type for node in model.graph.node if node.domain not in ("", "ai.onnx")]
    kinds = Counter(names(tensor.data_type) for tensor in model.graph.initializer)
    quantized = kinds["INT8"] + kinds["UINT8"] > 0
    uses = Counter(node.op_type for node in model.graph.node)
    scales = {one.name: tuple(one.dims) for one in model.graph.initializer}
    kernels = [
        scales.get(node.input[1], ())
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and _is_kernel(model, node.input[0])
    ]
    return AuditReport(
        path=path,
        operators=uses,
        tensor_types=kinds,
        dynamic=tuple(dynamic),
        foreign=tuple(dict.fromkeys(foreign)),
        float_operators=_float_islands(model) if quantized else Counter(),
        per_channel=(sum(len(dims) == 1 and dims[0] > 1 for dims in kernels), len(kernels)),
    )


def _is_kernel(model: Any, name: str) -> bool:
    return any(one.name == name and len(one.dims) == 4 for one in model.graph.initializer)


def _float_islands(model: Any) -> Counter[str]:
    """Convolutions and matrix products with an input that no DequantizeLinear made."""
    dequantized = {
        node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"
    }
    computing = ("Conv", "Gemm", "MatMul", "ConvTranspose")
    return Counter(
        node.op_type
        for node in model.graph.node
        if node.op_type in computing and not set(node.input[:2]) <= dequantized
    )


READERS: dict[str, Callable[[Path], AuditReport]] = {
    ".tflite": _audit_tflite,
    ".onnx": _audit_onnx,
}
