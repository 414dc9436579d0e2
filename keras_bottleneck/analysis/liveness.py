"""Which activation tensors exist at the same time."""

import math
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import keras

from keras_bottleneck.graph.fold import SCALE
from keras_bottleneck.graph.training_only import training_only
from keras_bottleneck.graph.wiring import Wiring, same_padding
from keras_bottleneck.keras_private import Call
from keras_bottleneck.layers import DropPath
from keras_bottleneck.quantization.primitive import ACTIVATIONS
from keras_bottleneck.quantization.quantizers import FakeQuantize

# Layers that leave nothing behind at inference, beside those of training.
VANISHING = (DropPath, FakeQuantize, keras.layers.Identity)
# Layers that runtimes compute on the values of the operator before them, as it writes them.
FUSED = (
    keras.layers.Activation,
    keras.layers.ELU,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ReLU,
    keras.layers.Softmax,
)


@dataclass(frozen=True)
class Step:
    """One call in execution order.

    `made` are the elements of the tensors that it makes, 0 where it is fused into the call before
    it; `live` those of all tensors that exist while it runs.
    """

    call: Call
    made: int
    live: int


def steps(model: keras.Model) -> list[Step]:
    """The calls of a flat model whose shapes are all known, with the memory that each needs.

    A tensor lives from the call that makes it to the last one that reads it; the model's inputs
    from the beginning, its outputs to the end. Activations, and batch norms behind a kernel, are
    fused into the call whose tensor they alone read; so is zero padding into the convolution
    behind it, where that could have padded so by itself. Nothing else is computed in place.
    """
    wiring = Wiring(model)
    calls, values = wiring.calls, _Values(wiring)
    changes = [0] * (len(calls) + 1)
    for value, size in values.sizes.items():
        changes[values.first[value]] += size
        changes[values.last[value] + 1] -= size
    live = list(accumulate(changes))
    return [
        Step(call, sum(values.sizes.get(id(tensor), 0) for tensor in call.outputs), alive)
        for call, alive in zip(calls, live, strict=False)
    ]


class _Values:
    """The values in memory, each known by the id of the tensor that it first was.

    Attributes:
        sizes: Elements of each.
        first: The index of the call that makes each.
        last: The index of the last call that reads each.
    """

    def __init__(self, wiring: Wiring) -> None:
        self.sizes: dict[int, int] = {}
        self.first: dict[int, int] = {}
        self.last: dict[int, int] = {}
        # Of each tensor: its value, the operation that writes it, and whether one call alone
        # reads it.
        self._value: dict[int, int] = {}
        self._writer: dict[int, Any] = {}
        self._alone: dict[int, bool] = {}
        self._wiring = wiring
        for tensor in wiring.model.inputs:
            self._make(tensor, 0, None)
        for index, call in enumerate(wiring.calls):
            for tensor in call.inputs:
                # The steps that fake quantizers hand on have no value: they are constants in files.
                if id(tensor) in self._value:
                    self.last[self._value[id(tensor)]] = index
            if self._stays(call):
                self._pass_on(call)
            else:
                for tensor in call.outputs:
                    self._make(tensor, index, call.operation)
        for tensor in wiring.model.outputs:
            self.last[self._value[id(tensor)]] = len(wiring.calls) - 1

    def _make(self, tensor: Any, index: int, writer: Any) -> None:
        key = id(tensor)
        self._value[key], self._writer[key] = key, writer
        self._alone[key] = len(self._wiring.readers(tensor)) == 1
        self.sizes[key] = math.prod(tensor.shape)
        self.first[key] = self.last[key] = index

    def _pass_on(self, call: Call) -> None:
        source, output = id(call.inputs[0]), id(call.outputs[0])
        self._value[output] = self._value[source]
        alone = len(self._wiring.readers(call.outputs[0])) == 1
        self._alone[output] = self._alone[source] and alone
        vanishes = _vanishes(call.operation)
        self._writer[output] = self._writer[source] if vanishes else call.operation

    def _stays(self, call: Call) -> bool:
        """Whether the values of `call` take the place of its input's, or are them."""
        if _vanishes(call.operation) or self._pads_for_convolution(call):
            return True
        if len(call.inputs) != 1:
            return False
        writer = self._writer.get(id(call.inputs[0]))
        fuses = _folds(call.operation, writer) or _is_activation(call.operation)
        return fuses and writer is not None and self._alone[id(call.inputs[0])]

    def _pads_for_convolution(self, call: Call) -> bool:
        reader = self._wiring.only_reader(call.outputs[0])
        return (
            isinstance(call.operation, keras.layers.ZeroPadding2D)
            and reader is not None
            and _is_same_padding(call, reader.operation)
        )


def _is_same_padding(call: Call, reader: Any) -> bool:
    """Whether `reader` is a convolution that with `padding="same"` would do what `call` does."""
    if not isinstance(reader, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)):
        return False
    if reader.padding != "valid" or reader.data_format != "channels_last":
        return False
    kernels = zip(reader.kernel_size, reader.strides, reader.dilation_rate, strict=True)
    sides = zip(call.inputs[0].shape[1:3], kernels, strict=True)
    return call.operation.padding == tuple(same_padding(size, *kernel) for size, kernel in sides)


def _vanishes(operation: Any) -> bool:
    return isinstance(operation, VANISHING) or training_only(operation)


def _folds(operation: Any, writer: Any) -> bool:
    """Whether `operation` is a batch norm that `graph.fold` computes into the kernel before it."""
    return (
        isinstance(operation, keras.layers.BatchNormalization)
        and type(writer) in SCALE
        and writer.activation is keras.activations.linear
    )


def _is_activation(operation: Any) -> bool:
    return isinstance(operation, FUSED) or type(operation).__name__ in ACTIVATIONS
