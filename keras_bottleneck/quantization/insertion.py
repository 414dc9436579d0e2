"""The quantized network: a primitive one with its kernels replaced and quantizers put in."""

from typing import Any

import keras

from keras_bottleneck import keras_private
from keras_bottleneck.graph.rebuild import (
    Copies,
    TensorMap,
    copied,
    inputs_like,
    rebuild,
    unused_name,
)
from keras_bottleneck.keras_private import Call
from keras_bottleneck.quantization.boundary import Boundary
from keras_bottleneck.quantization.fake_quant import fake_quant_kernel
from keras_bottleneck.quantization.kernels import QUANTIZED, SMALLEST_REACH
from keras_bottleneck.quantization.placement import Placement, Rule
from keras_bottleneck.quantization.quantizers import FakeQuantize
from keras_bottleneck.quantization.runtime_rounding import rule_for


class Insertion:
    """A quantized model beside the primitive one that it was made of.

    Attributes:
        model: The quantized model; its ranges are still to be set.
        quantizers: The `FakeQuantize` layer of each group of tensors.
        original: Of a tensor of `model`, the tensor of the primitive model.
        sources: Of a kernel layer of `model` by its id, the layer of the primitive model.
    """

    def __init__(self, placement: Placement, reduce_range: bool) -> None:
        self.placement = placement
        self.reduce_range = reduce_range
        self.quantizers: dict[int, FakeQuantize] = {}
        self.original = TensorMap()
        self.sources: dict[int, keras.layers.Layer] = {}
        self._copies = Copies()
        # Of a tensor on a grid: the grid's step and its code of zero.
        self._grids = TensorMap()
        self._rounded_inputs = TensorMap()
        self._requantized = TensorMap()
        self._taken = {call.operation.name for call in placement.calls}
        inputs = inputs_like(placement.model)
        self._inputs = TensorMap()
        for new, tensor in zip(inputs, placement.model.inputs, strict=True):
            self._inputs[new] = tensor
        self.model = rebuild(placement.model, self._visit, inputs)

    def _visit(self, call: Call, args: Any, kwargs: Any) -> Any:
        args, kwargs = keras.tree.map_structure(self._read, (args, kwargs))
        rule = self.placement.rule(call)
        if rule is None:
            args, kwargs = keras.tree.map_structure(self._into_float, (args, kwargs))
        if rule is Rule.JOIN:
            args = ([self._joined(x, call) for x in args[0]],)
        if rule is Rule.KERNEL:
            args = (*args, self._grids[args[0]][0])
        makers = {Rule.KERNEL: self._kernel, Rule.ROUND: _with_slopes}
        make = copied if rule is None else makers.get(rule, copied)
        results = self._copies.call(call.operation, args, kwargs, make)
        outputs = keras.tree.flatten(results)
        for old, new in zip(call.outputs, outputs, strict=True):
            self.original[new] = old
        if rule is Rule.PASS:
            grid = self._grids[keras_private.tensors_in(args)[0]]
            for output in outputs:
                self._grids[output] = grid
        rounding = (
            {}
            if rule is None
            else self._rounding(call.operation, keras_private.tensors_in(args)[0])
        )
        if rule is None:
            outputs = [
                self._out_of_float(*pair) for pair in zip(call.outputs, outputs, strict=True)
            ]
        rounded = [
            self._rounded(x, y, **rounding) for x, y in zip(call.outputs, outputs, strict=True)
        ]
        return keras.tree.pack_sequence_as(results, rounded)

    def _rounding(self, operation: Any, x: Any) -> dict[str, Any]:
        """How the runtime rounds what `operation` makes of `x`, as arguments of the quantizer."""
        fixed_step = rule_for(operation, x.shape)
        # Without a grid, it is a clip that is fused into the kernel before it.
        if fixed_step is None or x not in self._grids:
            return {}
        rule, factor = fixed_step
        step, zero = self._grids[x]
        return {"input_step": step, "input_zero": zero, "rule": rule, "factor": factor}

    def _read(self, argument: Any) -> Any:
        """What a layer reads in place of `argument`: the model's inputs are rounded first."""
        if argument not in self._inputs:
            return argument
        if argument not in self._rounded_inputs:
            self._rounded_inputs[argument] = self._rounded(self._inputs[argument], argument)
        return self._rounded_inputs[argument]

    def _into_float(self, argument: Any) -> Any:
        """What a layer in float reads in place of `argument`."""
        return self._boundary(argument) if argument in self._grids else argument

    def _out_of_float(self, old: Any, new: Any) -> Any:
        """What is rounded in place of `new`, which a layer in float has made."""
        return self._boundary(new) if id(old) in self.placement.rounded else new

    def _boundary(self, x: Any) -> Any:
        name = self._unused(f"{keras_private.maker(x).name}_boundary")
        return Boundary(name=name, dtype="float32")(x)

    def _rounded(self, old: Any, new: Any, **rounding: Any) -> Any:
        if id(old) not in self.placement.rounded:
            return new
        return self._quantized(self.placement.group(old), old, new, **rounding)

    def _joined(self, x: Any, call: Call) -> Any:
        """An input of a concatenation, on the grid of its output."""
        output = call.outputs[0]
        group = self.placement.group(output)
        if self.placement.group(self.original[x]) == group:
            return x
        if x not in self._requantized:
            # What lies on a grid of its own has a fixed range within -1 and 1, so that this changes
            # nothing; but the TFLite converter takes no tensor with two grids and nothing between.
            between = self._unused(f"{call.operation.name}_input")
            clip = keras.layers.Activation("hard_tanh", name=between, dtype="float32")
            rounding = self._rounding(clip, x)
            self._requantized[x] = self._quantized(group, output, clip(x), **rounding)
        return self._requantized[x]

    def _quantized(self, group: int, old: Any, new: Any, **rounding: Any) -> Any:
        if group not in self.quantizers:
            fixed = self.placement.fixed_range(group)
            first = old is self.placement.model.inputs[0]
            maker = "input" if first else keras_private.maker(old).name
            name = self._unused(f"{maker}_quant")
            self.quantizers[group] = FakeQuantize(
                name=name, fixed=fixed is not None, dtype="float32"
            )
        rounded, *grid = self.quantizers[group](new, **rounding)
        self._grids[rounded] = tuple(grid)
        self.original[rounded] = old
        return rounded

    def _unused(self, name: str) -> str:
        """`name`, or with a number where it is taken: a layer that is called twice has two."""
        unused = unused_name([name], self._taken)
        self._taken.add(unused)
        return unused

    def _kernel(self, layer: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
        copy = QUANTIZED[type(layer)].from_config(
            {**layer.get_config(), "reduce_range": self.reduce_range}
        )
        outputs = copy(*args)
        kernel, bias = layer.get_weights()
        copy.kernel.assign(kernel)
        copy.bias.assign(bias)
        self.sources[id(copy)] = layer
        return copy, outputs


def _with_slopes(operation: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """A copy; the slopes of a PReLU lie on the int8 grid on which the TFLite converter has them."""
    copy, outputs = copied(operation, args, kwargs)
    if isinstance(operation, keras.layers.PReLU):
        slopes = keras.ops.abs(copy.alpha)
        reach = keras.ops.maximum(keras.ops.max(slopes), SMALLEST_REACH)
        copy.alpha.assign(fake_quant_kernel(copy.alpha, reach, None))
    return copy, outputs
