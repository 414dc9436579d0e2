"""From an ONNX graph that simulates int8 in float32 to one that ONNX Runtime computes in int8.

tf2onnx makes QuantizeLinear and DequantizeLinear out of the fake quantizers of activations, but
folds those of kernels and biases into float32 constants, and shares those that are equal. So each
kernel is converted with a number of its own in place of its values, by which it is known again.
ONNX Runtime computes an operator in integers where a DequantizeLinear makes each of its inputs
and its output goes into a QuantizeLinear. `rewrite` brings that about everywhere.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_bottleneck.quantization.fake_quant import KERNEL_CODES

if TYPE_CHECKING:
    import onnx

# The axis of output channels in the kernel of each operator that has one.
CHANNEL_AXIS = {"Conv": 0, "ConvTranspose": 1, "Gemm": 1, "MatMul": 1}
# Operators whose output holds nothing but values of their one input.
MOVING = {
    *("Expand", "Flatten", "GlobalMaxPool", "Identity", "MaxPool", "Pad", "ReduceMax", "Reshape"),
    *("Slice", "Squeeze", "Tile", "Transpose", "Unsqueeze", "Split", "Gather", "ReduceMin"),
    *("DepthToSpace", "SpaceToDepth"),
}
# Operators whose output stays within the range of their one input.
AVERAGING = {"AveragePool", "GlobalAveragePool", "Resize"}

BIAS_CODES = 2**31 - 1
# How far a float32 kernel may be off its grid, in parts of its largest value.
OFF_GRID = 1e-6
# The first mark; no kernel that was left in float is filled with such a number.
FIRST_MARK = 4096.5


@dataclass(frozen=True, eq=False)
class Kernel:
    """The kernel and the bias of one layer, which lie on integer grids.

    Attributes:
        name: The layer; no two kernels share a name.
        mark: The number that fills the kernel in the graph, one of `marks`.
        values: float32, in ONNX's layout: (O, I/groups, kh, kw) for Conv, (I, O, kh, kw) for
            ConvTranspose, (I, O) for Gemm and MatMul.
        steps: float32, what one step of the codes is worth: shape (O,), or () for all channels.
        bias: float32, (O,). What the graph holds in its place is any number but zero.
    """

    name: str
    mark: float
    values: np.ndarray
    steps: np.ndarray
    bias: np.ndarray


def marks(count: int) -> list[float]:
    """The marks of so many kernels, far enough apart to survive float32 arithmetic."""
    return [FIRST_MARK + number for number in range(count)]


def rewrite(proto: "onnx.ModelProto", kernels: Sequence[Kernel]) -> "onnx.ModelProto":
    """`proto` with int8 kernels, int32 biases and no float islands between them.

    Args:
        proto: A graph from tf2onnx, opset 13 or later, whose activations are quantized.
        kernels: The kernel of every quantized layer. They are found in the graph by their marks.

    Returns:
        A new graph with the same inputs and outputs.

    Raises:
        ValueError: If a kernel is not in the graph or not on its grid, or the input of its layer
            is not quantized. Names all of them.
    """
    import onnx

    rewritten = onnx.ModelProto()
    rewritten.CopyFrom(proto)
    graph = _Graph(rewritten.graph)
    _quantize_before_moving(graph)
    _quantize_after_passing(graph)
    _store_integers(graph, kernels)
    graph.write()
    return rewritten


class _Graph:
    """A graph with the look-ups that the format leaves to its readers."""

    def __init__(self, proto: "onnx.GraphProto") -> None:
        from onnx import numpy_helper

        self.proto = proto
        self.nodes = list(proto.node)
        self.constants = {one.name: numpy_helper.to_array(one) for one in proto.initializer}
        self.outputs = {one.name for one in proto.output}
        self.makers: dict[str, Any] = {}
        self.readers: dict[str, list[Any]] = defaultdict(list)
        for node in self.nodes:
            self.register(node)

    def register(self, node: Any) -> Any:
        """Enter a node into the look-ups."""
        self.makers.update(dict.fromkeys(node.output, node))
        for name in node.input:
            self.readers[name].append(node)
        return node

    def make(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> Any:
        """A node that is known to the look-ups, but has no place among the nodes yet."""
        from onnx import helper

        return self.register(helper.make_node(operator, inputs, [output], output, **attributes))

    def pair(self, source: str, grid: list[str], target: str) -> list[Any]:
        """The two nodes that round `source` to the grid and call the result `target`."""
        codes = f"{target}_codes"
        quantize = self.make("QuantizeLinear", [source, *grid], codes)
        return [quantize, self.make("DequantizeLinear", [codes, *grid], target)]

    def grid(self, name: str) -> list[str] | None:
        """Names of scale and zero point, if a DequantizeLinear makes the tensor."""
        maker = self.makers.get(name)
        if maker is None or maker.op_type != "DequantizeLinear":
            return None
        return list(maker.input[1:])

    def next_grid(self, name: str) -> list[str] | None:
        """Names of scale and zero point, if one QuantizeLinear is all that reads the tensor."""
        readers = self.readers[name]
        read = len(readers) == 1 and readers[0].op_type == "QuantizeLinear"
        return list(readers[0].input[1:]) if read and name not in self.outputs else None

    def store(self, name: str, codes: np.ndarray, steps: np.ndarray, axis: int) -> str:
        """Add the tensor `codes * steps`; returns its name."""
        # A layer that is called twice has it twice: where ONNX Runtime rewrites codes for
        # processors without VNNI, it cannot open a file in which two operators share them.
        while name in self.makers:
            name = f"{name}_again"
        zeros = np.zeros(steps.shape, codes.dtype)
        parts = {f"{name}_codes": codes, f"{name}_steps": steps, f"{name}_zero": zeros}
        self.constants |= parts
        self.nodes.insert(0, self.make("DequantizeLinear", list(parts), name, axis=axis))
        return name

    def write(self) -> None:
        """Put what the outputs depend on into the protobuf."""
        from onnx import numpy_helper

        needed, nodes = set(self.outputs), []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                needed.update(node.input)
                nodes.append(node)
        constants = [(name, array) for name, array in self.constants.items() if name in needed]
        del self.proto.initializer[:], self.proto.node[:]
        self.proto.initializer.extend(numpy_helper.from_array(a, name) for name, a in constants)
        self.proto.node.extend(reversed(nodes))


def _quantize_before_moving(graph: _Graph) -> None:
    """Round before an operator that moves or clips values, where it is rounded after it.

    Otherwise it stands between a computing operator and that one's QuantizeLinear, as the
    Squeeze behind a GlobalAveragePool does. The result is the same.
    """
    nodes = []
    for node in reversed(graph.nodes):
        nodes.append(node)
        grid = graph.next_grid(node.output[0])
        source = node.input[0] if node.input else ""
        if not grid or graph.grid(source) or len(node.output) > 1:
            continue
        if _moves(graph, node) or _clips(graph, node, grid):
            node.input[0] = f"{node.output[0]}_input"
            graph.readers[source].remove(node)
            graph.readers[node.input[0]].append(node)
            nodes += reversed(graph.pair(source, grid, node.input[0]))
    graph.nodes = nodes[::-1]


def _moves(graph: _Graph, node: Any) -> bool:
    """Whether the output holds only values of the input and zeros, which are on every grid."""
    if node.op_type == "Resize":
        return _attribute(node, "mode", b"nearest") == b"nearest"
    if node.op_type in ("Max", "Min"):
        # With limits that the grid has, since all grids are rounded to behind it.
        return all(name in graph.constants for name in node.input[1:])
    if node.op_type == "Pad" and len(node.input) > 2:
        return not np.any(graph.constants.get(node.input[2], 1.0))
    return node.op_type in MOVING


def _clips(graph: _Graph, node: Any, grid: list[str]) -> bool:
    """Whether a ReLU cuts off values that are on the grid; else ONNX Runtime leaves it out."""
    limits = [graph.constants.get(name) for name in node.input[1:]]
    low, high = [*limits, None, None][:2] if node.op_type == "Clip" else (0.0, None)
    scale, zero = (graph.constants[name] for name in grid)
    codes = np.iinfo(zero.dtype)
    cuts_low = low is not None and low / scale + zero >= codes.min + 0.5
    cuts_high = high is not None and high / scale + zero <= codes.max - 0.5
    return node.op_type in ("Relu", "Clip") and bool(cuts_low or cuts_high)


def _attribute(node: Any, name: str, default: Any) -> Any:
    from onnx import helper

    found = [one for one in node.attribute if one.name == name]
    return helper.get_attribute_value(found[0]) if found else default


def _quantize_after_passing(graph: _Graph) -> None:
    """Behind an operator that keeps the range of its input, round as in front of it."""
    nodes = []
    for node in graph.nodes:
        nodes.append(node)
        grid = _passed_grid(graph, node)
        # The last node makes the old name, so that readers and graph outputs stay as they are.
        name = node.output[0]
        if grid and node.op_type == "Split":
            for number, name in enumerate(node.output):
                node.output[number] = f"{name}_float"
                nodes += graph.pair(node.output[number], grid, name)
        elif grid and node.op_type == "Pad":
            # ONNX Runtime has no rule for it; but it can pad codes, with the code of zero.
            inputs = [graph.makers[node.input[0]].input[0], node.input[1], grid[1]]
            nodes[-1] = graph.make("Pad", inputs, f"{name}_codes")
            nodes[-1].attribute.extend(node.attribute)
            nodes.append(graph.make("DequantizeLinear", [f"{name}_codes", *grid], name))
        elif grid and not graph.next_grid(name):
            node.output[0] = f"{name}_float"
            nodes += graph.pair(node.output[0], grid, name)
    graph.nodes = nodes


def _passed_grid(graph: _Graph, node: Any) -> list[str] | None:
    """Names of the scale and zero point of the input, if they do for the output too."""
    grids = [graph.grid(name) for name in node.input]
    if node.op_type == "Concat":
        found = [[graph.constants[name].item() for name in grid] for grid in grids if grid]
        return grids[0] if len(found) == len(grids) and all(g == found[0] for g in found) else None
    averages = node.op_type in AVERAGING and _attribute(node, "mode", b"") != b"cubic"
    return grids[0] if averages or _moves(graph, node) else None


def _store_integers(graph: _Graph, kernels: Sequence[Kernel]) -> None:
    """Replace the float constants of every quantized layer; `ValueError` if one cannot be."""
    by_mark = {kernel.mark: kernel for kernel in kernels}
    problems: list[str] = []
    present: set[str] = set()
    for node in list(graph.nodes):
        kernel = by_mark.get(_mark(graph, node))
        if kernel is None:
            continue
        present.add(kernel.name)
        if not graph.grid(node.input[0]):
            problems.append(f"the input of {kernel.name!r} is not quantized")
        elif not _bias(graph, node)[0]:
            problems.append(f"the bias of {kernel.name!r} is not in the graph")
        elif not _store_layer(graph, node, kernel):
            problems.append(f"the kernel of {kernel.name!r} is not on the grid of its steps")
    lost = [kernel.name for kernel in kernels if kernel.name not in present]
    problems += [f"the kernel of {name!r} is not in the graph" for name in lost]
    if problems:
        raise ValueError(f"The graph does not match the kernels: {'; '.join(problems)}.")


def _mark(graph: _Graph, node: Any) -> float:
    """The mark that fills the kernel of `node`; 0 where it has no kernel, or no mark."""
    values = graph.constants.get(node.input[1]) if node.op_type in CHANNEL_AXIS else None
    if values is None or not np.allclose(values, values.flat[0], rtol=1e-6):
        return 0.0
    return float(np.rint(values.flat[0] - FIRST_MARK) + FIRST_MARK)


def _store_layer(graph: _Graph, node: Any, kernel: Kernel) -> bool:
    """Store the integers of one layer; False if its kernel is not on its grid."""
    axis, values = CHANNEL_AXIS[node.op_type], kernel.values.astype(np.float64)
    steps = np.asarray(kernel.steps, np.float32)
    shape = [-1 if one == axis else 1 for one in range(values.ndim)]
    codes, error = _rounded(values, steps.reshape(shape) if steps.ndim else steps)
    if error > OFF_GRID * np.abs(values).max() or np.abs(codes).max() > KERNEL_CODES:
        return False
    if _attribute(node, "transB", 0):
        axis, codes = 0, codes.T
    codes = codes.reshape(graph.constants[node.input[1]].shape).astype(np.int8)
    biased, slot = _bias(graph, node)
    input_step = graph.constants[graph.makers[node.input[0]].input[1]]
    node.input[1] = graph.store(f"{kernel.name}_kernel", codes, steps, axis)
    step = (input_step * steps).astype(np.float32)
    bias = kernel.bias.astype(np.float64).reshape(graph.constants[biased.input[slot]].shape)
    codes = _rounded(bias, step)[0].astype(np.int32)
    biased.input[slot] = graph.store(f"{node.output[0]}_bias", codes, step, 0)
    return True


def _rounded(values: np.ndarray, steps: Any) -> tuple[np.ndarray, float]:
    """The int32 codes of the values, and how far their products with the steps are off."""
    codes = np.rint(values / steps).clip(-BIAS_CODES, BIAS_CODES)
    return codes, float(np.abs(codes * steps - values).max())


def _bias(graph: _Graph, node: Any) -> tuple[Any, int]:
    """The node that adds the bias of a layer, and which input it is; (None, 0) without one."""
    if len(node.input) > 2 and node.input[2] in graph.constants:
        return node, 2
    # tf2onnx moves the bias of the others into the node: an Add behind them is something else.
    readers = graph.readers[node.output[0]] if node.op_type in ("MatMul", "ConvTranspose") else []
    if len(readers) == 1 and readers[0].op_type == "Add":
        for slot, name in enumerate(readers[0].input):
            if name in graph.constants:
                return readers[0], slot
    return None, 0
