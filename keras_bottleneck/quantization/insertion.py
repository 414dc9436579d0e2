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
from keras_bottleneck.quantization.kernels import QUANTIZED
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
        self._steps = TensorMap()
        self._rounded_inputs = TensorMap()
        inputs = inputs_like(placement.model)
        self._inputs = TensorMap()
        for new, tensor in zip(inputs, placement.model.inputs, strict=True):
            self._inputs[new] = tensor
        self.model = rebuild(placement.model, self._visit, inputs)

    def _visit(self, call: Call, args: Any, kwargs: Any) -> Any:
        args, kwargs = keras.tree.map_structure(self._read, (args, kwargs))
        rule = self.placement.rule(call)
        if rule is Rule.JOIN:
            args = ([self._joined(x, call) for x in args[0]],)
        if rule is Rule.KERNEL:
            args = (*args, self._steps[args[0]])
        make = self._kernel if rule is Rule.KERNEL else copied
        made = self._copies.call(call.operation, args, kwargs, make)
        outputs = keras.tree.flatten(made)
        for old, new in zip(call.outputs, outputs, strict=True):
            self.original[new] = old
        if rule is Rule.PASS:
            self._steps[outputs[0]] = self._steps[keras_private.tensors_in(args)[0]]
        rounding = {} if rule is None else self._rounding(call, keras_private.tensors_in(args)[0])
        rounded = [
            self._rounded(x, y, **rounding) for x, y in zip(call.outputs, outputs, strict=True)
        ]
        return keras.tree.pack_sequence_as(made, rounded)

    def _rounding(self, call: Call, x: Any) -> dict[str, Any]:
        """How the runtime rounds what `call` makes of `x`, as arguments of the quantizer."""
        found = rule_for(call.operation, x.shape)
        if found is None:
            return {}
        rule, factor = found
        return {"input_step": self._steps[x], "rule": rule, "factor": factor}

    def _read(self, argument: Any) -> Any:
        """What a layer reads in place of `argument`: the model's inputs are rounded first."""
        if argument not in self._inputs:
            return argument
        if argument not in self._rounded_inputs:
            self._rounded_inputs[argument] = self._rounded(self._inputs[argument], argument)
        return self._rounded_inputs[argument]

    def _rounded(self, old: Any, new: Any, **rounding: Any) -> Any:
        if id(old) not in self.placement.rounded:
            return new
        return self._quantized(self.placement.group(old), old, new, **rounding)

    def _joined(self, x: Any, call: Call) -> Any:
        """An input of a concatenation, on the grid of its output."""
        output = call.outputs[0]
        group = self.placement.group(output)
        same = self.placement.group(self.original[x]) == group
        return x if same else self._quantized(group, output, x)

    def _quantized(self, group: int, old: Any, new: Any, **rounding: Any) -> Any:
        if group not in self.quantizers:
            fixed = self.placement.fixed_range(group)
            first = old is self.placement.model.inputs[0]
            maker = "input" if first else keras_private.maker(old).name
            name = self._unused(f"{maker}_quant")
            self.quantizers[group] = FakeQuantize(
                name=name, fixed=fixed is not None, dtype="float32"
            )
        rounded, step = self.quantizers[group](new, **rounding)
        self._steps[rounded] = step
        self.original[rounded] = old
        return rounded

    def _unused(self, name: str) -> str:
        """`name`, or with a number where it is taken: a layer that is called twice has two."""
        taken = {call.operation.name for call in self.placement.calls}
        taken.update(quantizer.name for quantizer in self.quantizers.values())
        return unused_name([name], taken)

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
