"""Each operator of a TFLite file beside the part of the quantized Keras model that simulates it.

The simulation of an operator is given the integers that the runtime itself fed the operator, so
that what one operator does differently is seen there and not in the layers behind it.
"""

from collections import Counter, namedtuple
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from keras_bottleneck import keras_private
from keras_bottleneck.quantization.fake_quant import step_of
from keras_bottleneck.quantization.kernels import QuantizedKernel
from keras_bottleneck.quantization.placement import Rule, rule_of
from keras_bottleneck.quantization.quantizers import FakeQuantize

from . import runtimes

CODES = 255
BATCH = 10
# Operators that only move values: where no tensor of Keras's is theirs, they are compared as
# parts of what reads them.
MOVING = {"PAD", "RESHAPE", "SLICE", "SQUEEZE", "TILE", "TRANSPOSE"}
# Where the channels of a kernel of Keras are put in TFLite.
TFLITE_LAYOUT = {
    "CONV_2D": (3, 0, 1, 2),
    "DEPTHWISE_CONV_2D": (3, 0, 1, 2),
    "TRANSPOSE_CONV": (2, 0, 1, 3),
    "FULLY_CONNECTED": (1, 0),
}

Grid = namedtuple("Grid", "step zero")
Integers = namedtuple("Integers", "name kernel_step kernel bias_step bias")


@dataclass(eq=False)
class Node:
    """A tensor of the Keras model that lies on a grid, and what it is in the TFLite file.

    `piece` holds the calls that make it out of the nearest nodes before it, and `steps` counts
    by how many steps its integers were off.
    """

    name: str
    output: Any
    grid: Grid
    twin: runtimes.Tensor | None = None
    operator: runtimes.Operator | None = None
    piece: list[keras_private.Call] = field(default_factory=list)
    steps: Counter[int] = field(default_factory=Counter)

    @property
    def kind(self):
        return self.operator.kind

    @property
    def values(self):
        return self.steps.total()

    @property
    def equal(self):
        """The percentage of values that are equal."""
        return 100 * self.steps[0] / self.values

    @property
    def farthest(self):
        return max(map(abs, self.steps))

    @property
    def kernel(self):
        """The call of the layer whose kernel it is made with, or None."""
        found = [call for call in self.piece if isinstance(call.operation, QuantizedKernel)]
        return found[0] if found else None

    def codes(self, values):
        """The int8 codes of float values that lie on the grid."""
        return np.rint(np.asarray(values) / self.grid.step).astype(int) + self.grid.zero

    def dequantized(self, codes):
        step = np.float32(self.grid.step)
        return keras.ops.convert_to_tensor((codes.astype(np.float32) - self.grid.zero) * step)


class Comparison:
    """The tensors of a quantized model, matched with those of its TFLite file.

    Args:
        model: A model from `quantize`.
        path: The file.
        image: One image, (1, height, width, channels), by which tensors with the same shape and
            grid are told apart.
    """

    def __init__(self, model, path, image):
        self.model = model
        self.makers = {}
        for call in keras_private.calls(model):
            self.makers.update({id(output): call for output in call.outputs})
        self.tensors, self.operators = runtimes.read_tflite(path)
        self.run, self.interpreter = runtimes.litert(path)
        self.known: dict[int, Node] = {}
        self._match(image)
        for node in self.known.values():
            node.piece = self._piece(node)

    def add(self, images):
        """Run images through the file, and each operator's own inputs through its simulation."""
        for start in range(0, len(images), BATCH):
            batch = images[start : start + BATCH]
            integers = self._integers(batch)
            for node in self.compared:
                made = node.codes(self._value(node, batch, integers))
                differences = made - integers[id(node.output)]
                steps, counts = np.unique(differences, return_counts=True)
                node.steps.update(dict(zip(steps.tolist(), counts.tolist(), strict=True)))

    @property
    def compared(self):
        """The nodes that an operator of the file makes, in the order of the file."""
        order = {id(operator): number for number, operator in enumerate(self.operators)}
        found = [node for node in self.known.values() if node.operator]
        return sorted(found, key=lambda node: order[id(node.operator)])

    def integers(self):
        """Of each layer with a kernel: what Keras has, and what the TFLite file has."""
        for node in self.compared:
            if node.kernel is None:
                continue
            layer, source = node.kernel.operation, self.makers[id(node.kernel.inputs[1])].operation
            input_step = _numpy(step_of(source.low, source.high))
            kernel_step = _numpy(layer.kernel_step)
            bias_step = input_step * kernel_step
            kernel = np.rint(_numpy(layer.quantized_kernel()) / _along(layer, kernel_step))
            bias = np.rint(_numpy(layer.quantized_bias(input_step)) / bias_step)
            stored, stored_bias = node.operator.inputs[1], node.operator.inputs[-1]
            codes = stored.codes.transpose(np.argsort(TFLITE_LAYOUT[node.kind]))
            yield (
                Integers(layer.name, kernel_step, kernel, bias_step, bias),
                Integers(layer.name, stored.step, codes, stored_bias.step, stored_bias.codes),
            )

    def missed(self):
        """What has no counterpart: nodes, and operators that make int8 tensors."""
        nodes = [node.name for node in self.nodes if node.twin is None]
        found = {id(node.operator) for node in self.compared}
        return nodes + [
            f"{one.kind} {one.outputs[0].name}"
            for one in self.operators
            if one.outputs[0].dtype == "int8" and id(one) not in found and one.kind not in MOVING
        ]

    def _match(self, image):
        """Find each node's tensor by its grid and shape; where several fit, by its values."""
        self.nodes, passed = self._nodes()
        outputs = [node.output for node in (*self.nodes, *passed)]
        simulated = keras.Model(self.model.inputs[0], outputs)(image, training=False)
        self.run(image)
        makers = {one.outputs[0].index: one for one in self.operators}
        free = {
            one.index: one
            for one in self.tensors
            if one.dtype == "int8" and one.codes is None and len(one.step) == 1
        }
        for node, values in zip((*self.nodes, *passed), simulated, strict=True):
            codes = node.codes(values)
            fitting = [one for one in free.values() if _fits(one, node)]
            agreement = [
                np.mean(codes == self.interpreter.get_tensor(one.index)) for one in fitting
            ]
            if fitting:
                node.twin = fitting[np.argmax(agreement)]
                node.operator = makers.get(node.twin.index)
                self.known[id(node.output)] = node
                del free[node.twin.index]

    def _nodes(self):
        """What quantizers make, and what operators that pass values on make of that."""
        nodes, passed, grids = [], [], {}
        for call in keras_private.calls(self.model):
            operation, source, output = call.operation, call.inputs[0], call.outputs[0]
            if isinstance(operation, FakeQuantize):
                grids[id(output)] = _grid(operation)
                name = keras_private.maker(source).name
                nodes.append(Node(name, output, grids[id(output)]))
            elif rule_of(operation) is Rule.PASS and id(source) in grids:
                grids[id(output)] = grids[id(source)]
                if output.shape != source.shape:
                    passed.append(Node(operation.name, output, grids[id(output)]))
        return nodes, passed

    def _piece(self, node):
        """The calls between a node and those before it, in the order of computing."""
        found, seen = [], set()

        def visit(tensor):
            call = self.makers.get(id(tensor))
            stops = id(tensor) in self.known and tensor is not node.output
            # What a grid is like is no computed value.
            grid = call and isinstance(call.operation, FakeQuantize)
            grid = grid and tensor is not call.outputs[0]
            if call is None or stops or grid or id(call.outputs[0]) in seen:
                return
            seen.add(id(call.outputs[0]))
            for one in call.inputs:
                visit(one)
            found.append(call)

        visit(node.output)
        return found

    def _integers(self, images):
        """The runtime's own integers of each node, (N, ...), by the ids of the outputs."""
        found = {key: [] for key in self.known}
        for image in images:
            self.run(image[None])
            for key, node in self.known.items():
                found[key].append(self.interpreter.get_tensor(node.twin.index))
        return {key: np.concatenate(codes) for key, codes in found.items()}

    def _value(self, node, images, integers):
        """What the Keras model makes of the runtime's integers."""
        values = {id(self.model.inputs[0]): keras.ops.convert_to_tensor(images)}

        def read(tensor):
            key = id(tensor)
            if key not in values and key in self.known:
                values[key] = self.known[key].dequantized(integers[key])
            elif key not in values:
                call = self.makers[key]
                values.update(zip(map(id, call.outputs[1:]), call.operation.grid(), strict=True))
            return values[key]

        for call in node.piece:
            args, kwargs = call.arguments.fill_in({id(one): read(one) for one in call.inputs})
            made = keras.tree.flatten(call.operation(*args, **kwargs))
            values.update(zip(map(id, call.outputs), made, strict=True))
        return values[id(node.output)]


def _fits(tensor, node):
    return (
        tensor.shape == (1, *node.output.shape[1:])
        and int(tensor.zero[0]) == node.grid.zero
        and abs(float(tensor.step[0]) / node.grid.step - 1) <= 1e-6
    )


def _grid(quantizer):
    low, high = (float(keras.ops.convert_to_numpy(x)) for x in (quantizer.low, quantizer.high))
    step = (high - low) / CODES
    return Grid(step, int(np.clip(np.floor(-low / step + 0.5), 0, CODES)) - 128)


def _numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor), np.float64)


def _along(layer, steps):
    """Steps of channels in a shape that broadcasts with the kernel."""
    shape = [1] * len(layer.kernel.shape)
    if layer.kernel_axis is not None:
        shape[layer.kernel_axis] = -1
    return steps.reshape(shape)


def table(title, nodes):
    """Print what was compared, a line for each node."""
    shown = Table(title=title)
    for name in ("layer", "operator", "grid step", "zero"):
        shown.add_column(name)
    for name in ("values", "equal %", "-1", "+1", "max step"):
        shown.add_column(name, justify="right")
    for node in nodes:
        numbers = (node.values, f"{node.equal:.3f}", node.steps[-1], node.steps[1], node.farthest)
        grid = (f"{node.grid.step:.6g}", str(node.grid.zero))
        shown.add_row(node.name, node.kind, *grid, *map(str, numbers))
    parts = [node.equal for node in nodes]
    shown.caption = f"lowest {min(parts):.3f}%, average {np.mean(parts):.3f}%"
    Console(width=140).print(shown)
