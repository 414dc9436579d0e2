"""Who makes and reads each tensor of a model, plainly linear layers, and what "same" pads."""

from collections import defaultdict
from typing import Any

import keras

from keras_bottleneck import keras_private
from keras_bottleneck.keras_private import Call


class Wiring:
    """What passes ask of a whole functional model before they replay it.

    Attributes:
        calls: All calls, in an order in which they can be computed.
        calls_of: The calls of each layer or operation, by its id.
    """

    def __init__(self, model: keras.Model) -> None:
        # Its tensors live as long as the model, and with it the ids that stand for them.
        self.model = model
        self.calls = list(keras_private.calls(model))
        self.calls_of: dict[int, list[Call]] = defaultdict(list)
        self._readers: dict[int, list[Call | None]] = defaultdict(list)
        self._maker: dict[int, Call] = {}
        for call in self.calls:
            self.calls_of[id(call.operation)].append(call)
            self._maker.update((id(tensor), call) for tensor in call.outputs)
            for tensor in call.inputs:
                self._readers[id(tensor)].append(call)
        for output in model.outputs:
            self._readers[id(output)].append(None)

    def maker(self, tensor: Any) -> Call | None:
        """The call that made `tensor`; None for an input of the model."""
        return self._maker.get(id(tensor))

    def readers(self, tensor: Any) -> list[Call | None]:
        """The calls that read `tensor`, once for each time; None where the model returns it."""
        return self._readers[id(tensor)]

    def only_reader(self, tensor: Any) -> Call | None:
        """The call that alone reads `tensor`; None where there is no such call."""
        readers = self.readers(tensor)
        return readers[0] if len(readers) == 1 else None


def same_padding(size: int, taps: int, stride: int, dilation: int) -> tuple[int, int]:
    """The zeros that TensorFlow's "same" adds before and after `size` pixels along an axis."""
    total = max((-(-size // stride) - 1) * stride + (taps - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def plainly_linear(layer: Any) -> bool:
    """Whether a layer with a kernel does nothing but what kernel and bias say, channels last."""
    return (
        getattr(layer, "activation", None) in (None, keras.activations.linear)
        and getattr(layer, "data_format", "channels_last") == "channels_last"
        and not getattr(layer, "lora_enabled", False)
        and layer.quantization_mode is None
    )
