"""What is inside a .tflite or .onnx file: operators, types, and what will not run on a device."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_bottleneck import checks
from keras_bottleneck.console import Printable
from keras_bottleneck.processor import LARGEST_SUM

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
        float_operators: In a file with int8 activations, the operators that compute in float all
            the same; empty in other files. The first and last, which translate what the caller
            gives and takes, do not count. ONNX Runtime computes more in float than is listed
            here, such as transposed convolutions and hard swish, of which it has no int8 kind.
        per_channel: How many convolutions have an int8 kernel with one scale for each channel,
            and how many one of any kind.
        per_tensor: Depthwise kernels with one scale for many channels.
        needs_vnni: Int8 kernels of an .onnx file with neighbouring codes that sum to more than
            128: ONNX Runtime's sums saturate on x86 processors without VNNI, unless the session's
            `session.x64quantprecision` is "1".
    """

    path: Path
    operators: Counter[str]
    tensor_types: Counter[str]
    dynamic: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    float_operators: Counter[str] = field(default_factory=Counter)
    per_channel: tuple[int, int] = (0, 0)
    per_tensor: tuple[str, ...] = ()
    needs_vnni: tuple[str, ...] = ()

    @property
    def int8_problems(self) -> tuple[str, ...]:
        """What keeps an int8 file from running in integers, one sentence each.

        A file with float activations, whatever its weights, has none.
        """
        found = [f"{uses} x {name} in float" for name, uses in self.float_operators.items()]
        found += [f"{name} has one scale for all its channels" for name in self.per_tensor]
        found += [f"operator {name} is not built into every runtime" for name in self.foreign]
        return tuple(found)

    @property
    def problems(self) -> tuple[str, ...]:
        """What will not run on every device, one sentence each; empty for a clean file."""
        found = [f"{name} has a dimension that is not fixed" for name in self.dynamic]
        if self.needs_vnni:
            found.append(
                f"{len(self.needs_vnni)} kernels, such as {self.needs_vnni[0]}, saturate in ONNX "
                "Runtime on x86 processors without VNNI"
            )
        return (*found, *self.int8_problems)

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
    foreign, per_tensor = [], []
    kernels = per_channel = 0
    in_integers = False
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
            made = {types[graph.tensors[index].type] for index in operator.outputs}
            in_integers = in_integers or bool(made & {"INT8", "INT16"})
            last = name == "DEQUANTIZE" and set(operator.outputs) <= set(graph.outputs)
            if "FLOAT32" in made and not last:
                float_operators[name] += 1
            if name in ("CONV_2D", "DEPTHWISE_CONV_2D") and types[inputs[1].type] == "INT8":
                kernels += 1
                several = len(inputs[1].quantization.scale) > 1
                per_channel += several
                if name == "DEPTHWISE_CONV_2D" and inputs[1].shape[-1] > 1 and not several:
                    per_tensor.append(inputs[1].name.decode())
    main = model.subgraphs[0]
    ends = [main.tensors[index] for index in (*main.inputs, *main.outputs)]
    return AuditReport(
        path=path,
        operators=uses,
        tensor_types=tensor_types,
        dynamic=tuple(tensor.name.decode() for tensor in ends if _is_dynamic(tensor)),
        foreign=tuple(dict.fromkeys(foreign)),
        float_operators=float_operators if in_integers else Counter(),
        per_channel=(per_channel, kernels),
        per_tensor=tuple(per_tensor),
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
    quantized = any(node.op_type == "QuantizeLinear" for node in model.graph.node)
    constants = {one.name: tuple(one.dims) for one in model.graph.initializer}
    made_by = {node.output[0]: node for node in model.graph.node if node.output}
    makers = [made_by.get(node.input[1]) for node in model.graph.node if node.op_type == "Conv"]
    # Equal kernels are stored once: what counts is how many convolutions read them.
    kernels = [
        (maker.input[0], constants[maker.input[0]], constants.get(maker.input[1], ()))
        for maker in makers
        if maker is not None and maker.op_type == "DequantizeLinear" and maker.input[0] in constants
    ]
    return AuditReport(
        path=path,
        operators=Counter(node.op_type for node in model.graph.node),
        tensor_types=Counter(names(tensor.data_type) for tensor in model.graph.initializer),
        dynamic=tuple(dynamic),
        foreign=tuple(dict.fromkeys(foreign)),
        float_operators=_float_islands(model) if quantized else Counter(),
        per_channel=(sum(_several(scale) for _, _, scale in kernels), len(kernels)),
        per_tensor=tuple(
            name
            for name, shape, scale in kernels
            if shape[0] > 1 == shape[1] and not _several(scale)
        ),
        needs_vnni=tuple(_saturating(model, made_by)),
    )


def _saturating(model: Any, made_by: dict[str, Any]) -> Iterator[str]:
    """The int8 kernels with neighbouring codes whose products overflow 16 bits."""
    import onnx

    stored = {one.name: one for one in model.graph.initializer}
    for node in model.graph.node:
        maker = made_by.get(node.input[1]) if node.op_type in ("Conv", "Gemm", "MatMul") else None
        if maker is None or maker.op_type != "DequantizeLinear" or maker.input[0] not in stored:
            continue
        codes = onnx.numpy_helper.to_array(stored[maker.input[0]])
        attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        if codes.dtype != np.int8 or _keeps_channels_apart(codes, attributes):
            continue
        if codes.ndim == 4:
            codes = codes.transpose(2, 3, 1, 0)
        elif attributes.get("transB"):
            codes = codes.T
        if overflow(codes.reshape(-1, codes.shape[-1])):
            yield maker.input[0]


def overflow(codes: np.ndarray[Any, Any]) -> bool:
    """Whether any two neighbours of integer `codes`, (inputs, outputs), overflow."""
    padded = np.pad(codes.astype(np.int32), ((0, len(codes) % 2), (0, 0)))
    return bool((np.abs(padded[0::2] + padded[1::2]) > LARGEST_SUM).any())


def _keeps_channels_apart(codes: np.ndarray, attributes: dict[str, Any]) -> bool:
    """Whether a convolution is depthwise: those are multiplied in 32 bits."""
    return codes.ndim == 4 and attributes.get("group", 1) == codes.shape[0] > 1


def _several(dims: tuple[int, ...]) -> bool:
    return len(dims) == 1 and dims[0] > 1


def _float_islands(model: Any) -> Counter[str]:
    """Convolutions and matrix products that ONNX Runtime cannot compute in integers.

    It does so where each input comes from a DequantizeLinear and the output, a ReLU or the sum
    with a bias between, goes into a QuantizeLinear.
    """
    dequantized = {
        node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"
    }
    readers = {name: node for node in model.graph.node for name in node.input}

    def rounded(name: str) -> bool:
        reader = readers.get(name)
        while reader is not None and reader.op_type in ("Relu", "Clip", "Add"):
            reader = readers.get(reader.output[0])
        return reader is not None and reader.op_type == "QuantizeLinear"

    computing = ("Conv", "Gemm", "MatMul", "ConvTranspose")
    return Counter(
        node.op_type
        for node in model.graph.node
        if node.op_type in computing
        and not (set(node.input[:2]) <= dequantized and rounded(node.output[0]))
    )


READERS: dict[str, Callable[[Path], AuditReport]] = {
    ".tflite": _audit_tflite,
    ".onnx": _audit_onnx,
}
