"""What tf2onnx lacks or gets wrong: operators, and nodes that are mended before it sees them."""

from collections.abc import Callable
from typing import Any

import numpy as np

# A handler of tf2onnx, called as (graph, node, name, arguments), rewrites the node in the graph.
Handler = Callable[[Any, Any, str, Any], Any]


def _after(operator: str, combine: str, one_first: bool) -> Handler:
    """The node as `operator` and then `combine` with 1, which comes first or last."""

    def rewrite(graph: Any, node: Any, name: str, arguments: Any) -> None:
        inner = graph.make_node(operator, node.input, op_name_scope=name).output[0]
        inputs = [_one(graph, node), inner]
        _replace(graph, node, combine, inputs if one_first else inputs[::-1])

    return rewrite


def _log_of_one_plus(graph: Any, node: Any, name: str, arguments: Any) -> None:
    sum_ = graph.make_node("Add", [node.input[0], _one(graph, node)], op_name_scope=name)
    _replace(graph, node, "Log", sum_.output)


def _one(graph: Any, node: Any) -> str:
    from onnx.helper import tensor_dtype_to_np_dtype

    dtype = tensor_dtype_to_np_dtype(graph.get_dtype(node.input[0]))
    return str(graph.make_const(f"{node.name}_one", np.array(1, dtype)).output[0])


def _replace(graph: Any, node: Any, operator: str, inputs: list[str]) -> None:
    outputs, shapes, dtypes = node.output, node.output_shapes, node.output_dtypes
    graph.remove_node(node.name)
    graph.make_node(operator, inputs, name=node.name, outputs=outputs, shapes=shapes, dtypes=dtypes)


# Each by the TensorFlow operator that tf2onnx has no handler for.
HANDLERS: dict[str, Handler] = {
    "Erfc": _after("Erf", "Sub", one_first=True),
    "Expm1": _after("Exp", "Sub", one_first=False),
    "Log1p": _log_of_one_plus,
}


CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative", "Conv2DBackpropInput")


def mend_frozen(graph: Any) -> None:
    """Make plain sums, in a frozen GraphDef, of what is added like a bias and is none.

    `keras.ops.add` adds a vector as a bias, such as the feature map of a single pixel in a batch of
    one, and tf2onnx puts it into the convolution before as a second bias, or one that varies.
    """
    nodes = {node.name: node for node in graph.node}
    for node in graph.node:
        if node.op == "BiasAdd" and node.attr["data_format"].s == b"NHWC":
            x, bias = (nodes[name.split(":")[0].lstrip("^")] for name in node.input[:2])
            if x.op not in CONVOLUTIONS or bias.op != "Const":
                node.op = "AddV2"
                del node.attr["data_format"]


def mend(graph: Any) -> None:
    """Put right, in tf2onnx's `graph`, what its optimizer or ONNX would stumble over."""
    for node in graph.get_nodes():
        if node.type == "ConvTranspose":
            _fill_up(node)
        if node.type == "Add" and node.inputs[1].is_const():
            _no_bias(graph, node)


def _fill_up(node: Any) -> None:
    """Rows and columns that no kernel reaches, which tf2onnx makes negative paddings of."""
    pads = node.get_attr_value("pads")
    if pads is None:
        return
    half = len(pads) // 2
    totals = [before + after for before, after in zip(pads[:half], pads[half:], strict=True)]
    if min(totals) < 0:
        sides = [(0, 0) if total < 0 else pads[i::half] for i, total in enumerate(totals)]
        node.set_attr("pads", [before for before, _ in sides] + [after for _, after in sides])
        node.set_attr("output_padding", [max(-total, 0) for total in totals])


def _no_bias(graph: Any, node: Any) -> None:
    """Keep the optimizer from taking a constant for a bias that is none.

    It looks at the second input alone, and there only at the number of values: what varies along
    rows or columns would become a bias, and a scalar makes it fail.
    """
    shape = graph.get_shape(node.input[1])
    if not shape or any(side != 1 for side in shape[:-1]):
        graph.replace_inputs(node, list(node.input)[::-1])
