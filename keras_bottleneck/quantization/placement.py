"""Where fake quantizers go: which tensors are rounded, and which of them share a range."""

import re
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Any

import keras
import numpy as np

from keras_bottleneck import checks, keras_private
from keras_bottleneck.graph.training_only import training_only
from keras_bottleneck.graph.wiring import Wiring
from keras_bottleneck.keras_private import Call
from keras_bottleneck.layers import CropLike
from keras_bottleneck.quantization.kernels import QUANTIZED
from keras_bottleneck.quantization.positions import Positions


class Rule(Enum):
    """How int8 runtimes treat an operator."""

    KERNEL = "its sum is rounded once, after the ReLU that may follow"
    SUM = "like a kernel: its result is rounded once, after the ReLU that may follow"
    CLIP = "fused into the kernel or sum before it, if that has no other reader"
    ROUND = "rounds its result to a range of its own"
    SIGMOID = "its result has the fixed range 0 to 255/256"
    TANH = "its result has the fixed range -1 to 127/128"
    AVERAGE = "rounds its result to the range of its input"
    PASS = "passes values on"
    JOIN = "passes the values of several inputs on, which must share a range"


FIXED_RANGES = {Rule.SIGMOID: (0.0, 255 / 256), Rule.TANH: (-1.0, 127 / 128)}

Choice = Callable[[Any], Rule | None]


def _always(rule: Rule) -> Choice:
    return lambda layer: rule


def _kernel(layer: Any) -> Rule | None:
    plain = layer.quantization_mode is None and not getattr(layer, "lora_enabled", False)
    return Rule.KERNEL if plain else None


def _clip(layer: Any) -> Rule | None:
    plain = layer.threshold == 0 and not layer.negative_slope and layer.max_value in (None, 6.0)
    return Rule.CLIP if plain else None


ACTIVATIONS = {
    keras.activations.sigmoid: Rule.SIGMOID,
    keras.activations.tanh: Rule.TANH,
    keras.activations.hard_silu: Rule.ROUND,
    keras.activations.hard_tanh: Rule.CLIP,
    keras.activations.gelu: Rule.ROUND,
    keras.activations.exponential: Rule.ROUND,
}


def _activation(layer: Any) -> Rule | None:
    return ACTIVATIONS.get(layer.activation)


def _unit_length(layer: Any) -> Rule | None:
    # No component is longer than the whole; other axes than the last have no operator.
    return Rule.TANH if layer.axis == -1 else None


def _upsampling(layer: Any) -> Rule | None:
    return {"nearest": Rule.PASS, "bilinear": Rule.AVERAGE}.get(layer.interpolation)


RULES: dict[type, Choice] = {
    **dict.fromkeys(QUANTIZED, _kernel),
    keras.layers.Add: _always(Rule.SUM),
    keras.layers.Subtract: _always(Rule.SUM),
    keras.layers.Multiply: _always(Rule.SUM),
    keras.layers.ReLU: _clip,
    keras.layers.LeakyReLU: _always(Rule.ROUND),
    keras.layers.PReLU: _always(Rule.ROUND),
    keras.layers.Activation: _activation,
    keras.layers.Softmax: _always(Rule.SIGMOID),
    keras.layers.UnitNormalization: _unit_length,
    keras.layers.GlobalAveragePooling2D: _always(Rule.ROUND),
    keras.layers.AveragePooling2D: _always(Rule.AVERAGE),
    keras.layers.MaxPooling2D: _always(Rule.PASS),
    keras.layers.GlobalMaxPooling2D: _always(Rule.PASS),
    keras.layers.UpSampling2D: _upsampling,
    keras.layers.ZeroPadding2D: _always(Rule.PASS),
    keras.layers.Cropping2D: _always(Rule.PASS),
    CropLike: _always(Rule.PASS),
    keras.layers.Flatten: _always(Rule.PASS),
    keras.layers.Reshape: _always(Rule.PASS),
    keras.layers.Permute: _always(Rule.PASS),
    keras.layers.Identity: _always(Rule.PASS),
    Positions: _always(Rule.PASS),
    keras.layers.Concatenate: _always(Rule.JOIN),
    keras.layers.Maximum: _always(Rule.JOIN),
    keras.layers.Minimum: _always(Rule.JOIN),
}

# Bare operations have no public classes, only names.
OPERATION_RULES = {
    **dict.fromkeys(
        (
            *("Pad", "Reshape", "Transpose", "Squeeze", "ExpandDims", "Swapaxes", "Moveaxis"),
            *("GetItem", "Split", "Unstack", "Roll", "Repeat", "Tile", "BroadcastTo"),
            *("Take", "Max", "Amax", "Min", "Amin", "DepthToSpace", "SpaceToDepth"),
        ),
        Rule.PASS,
    ),
    "Stack": Rule.JOIN,
    # Minimum and maximum of a tensor and constants; those of two tensors are layers by now. The
    # TFLite converter wants a grid behind a flip, too.
    **dict.fromkeys(("Clip", "Maximum", "Minimum", "Flip"), Rule.AVERAGE),
    **dict.fromkeys(("Gelu", "Absolute", "Sum", "Mean"), Rule.ROUND),
}


def rule_of(operation: Any) -> Rule | None:
    """The rule for a layer or bare operation; None where int8 runtimes have none."""
    if not isinstance(operation, keras.layers.Layer):
        return OPERATION_RULES.get(type(operation).__name__)
    if training_only(operation):
        return Rule.PASS
    if getattr(operation, "data_format", "channels_last") == "channels_first":
        return None
    choose = RULES.get(type(operation))
    return None if choose is None else choose(operation)


def _rule_of_call(call: Call) -> Rule | None:
    """The rule for a call: values that a padding brings in lie on no grid, except zero."""
    kind, rule = type(call.operation).__name__, rule_of(call.operation)
    if isinstance(call.operation, keras.layers.Layer):
        return rule
    if kind == "Pad":
        return None if _padded_with(call) else rule
    return rule if len(call.inputs) == 1 or rule is Rule.JOIN else None


def _padded_with(call: Call) -> Any:
    """The constant that a call of `keras.ops.pad` writes around its input; zero of any other."""
    if type(call.operation).__name__ != "Pad":
        return 0
    return keras_private.argument(call, 1, "constant_values") or 0


# What `primitive` calls the parts of one layer; a block's name stands for all its layers.
PARTS = "(_(activation|sigmoid|plus|clip|depthwise|column|positions|positive|exp|negative|sum))*"


class Placement:
    """The quantizers of a network.

    Attributes:
        rounded: ids of the tensors behind which a quantizer goes.
        in_float: ids of the operations that stay in float.
    """

    def __init__(self, model: keras.Model, skip: Sequence[str] | str = ()) -> None:
        """Place quantizers in `model`, which `primitive` made.

        Raises:
            ValueError: If a layer cannot be quantized and is not skipped, or `skip` names none.
        """
        self.model = model
        self.wiring = Wiring(model)
        self.calls = self.wiring.calls
        # Tensors with infinity, such as a padding before a maximum, cannot be quantized.
        padded = [call for call in self.calls if np.isinf(_padded_with(call))]
        self._infinite = {id(tensor) for call in padded for tensor in call.outputs}
        self.in_float = self._skipped(skip)
        self.rounded: set[int] = set()
        self._parents: dict[int, int] = {}
        self._fixed: dict[int, tuple[float, float]] = {}
        self._joined: dict[int, Any] = {}
        self._place()

    def rule(self, call: Call) -> Rule | None:
        """The rule for `call`; None where it stays in float."""
        return None if id(call.operation) in self.in_float else self._possible_rule(call)

    def _possible_rule(self, call: Call) -> Rule | None:
        infinite = any(id(tensor) in self._infinite for tensor in call.inputs)
        return None if infinite else _rule_of_call(call)

    def group(self, tensor: Any) -> int:
        """The same number for all tensors that share a range."""
        return self._root(id(tensor))

    def fixed_range(self, group: int) -> tuple[float, float] | None:
        """The range of a group that calibration does not choose; None for any other."""
        return self._fixed.get(group)

    @property
    def rounded_tensors(self) -> list[Any]:
        """The tensors behind which a quantizer goes, in order."""
        computed = [tensor for call in self.calls for tensor in call.outputs]
        return [tensor for tensor in (*self.model.inputs, *computed) if id(tensor) in self.rounded]

    @property
    def names_in_float(self) -> tuple[str, ...]:
        """The names of the layers that stay in float, in order."""
        names = [c.operation.name for c in self.calls if id(c.operation) in self.in_float]
        return tuple(dict.fromkeys(names))

    def _skipped(self, skip: Sequence[str] | str) -> set[int]:
        unsupported = [call for call in self.calls if self._possible_rule(call) is None]
        if isinstance(skip, str) and skip == "unsupported":
            return {id(call.operation) for call in unsupported}
        skipped: set[int] = set()
        for name in _names(skip):
            exact = any(call.operation.name == name for call in self.calls)
            rest = PARTS if exact else "(_.*)?"
            pattern = re.compile(re.escape(name) + rest)
            named = {id(c.operation) for c in self.calls if pattern.fullmatch(c.operation.name)}
            if not named:
                known = sorted({call.operation.name for call in self.calls})
                checks.one_of("skip", name, known)
            skipped |= named
        left = [call.operation for call in unsupported if id(call.operation) not in skipped]
        if left:
            shown = ", ".join(
                f"{operation.name!r} ({type(operation).__name__})" for operation in left[:5]
            )
            more = f" and {len(left) - 5} more" if len(left) > 5 else ""
            raise ValueError(
                "`model` must consist of layers that int8 runtimes have, or be given "
                f"skip='unsupported'. Received: {shown}{more}"
            )
        return skipped

    def _place(self) -> None:
        for tensor in self.model.inputs:
            if self._read_in_int8(tensor):
                self.rounded.add(id(tensor))
        for call in self.calls:
            self._place_behind(call)
        for call in self.calls:
            if self.rule(call) is Rule.JOIN:
                self._join(call)

    def _place_behind(self, call: Call) -> None:
        rule = self.rule(call)
        for output in call.outputs:
            if rule is None:
                if self._read_in_int8(output):
                    self.rounded.add(id(output))
            elif rule is Rule.PASS:
                self._unite(call.inputs[0], output)
                if self._averaged_beside_others(output):
                    self.rounded.add(id(output))
            elif rule is Rule.AVERAGE:
                self._unite(call.inputs[0], output)
                self.rounded.add(id(output))
            elif not (rule in (Rule.KERNEL, Rule.SUM) and self._clipped_next(output)):
                self.rounded.add(id(output))
            if rule in FIXED_RANGES:
                self._fixed[id(output)] = FIXED_RANGES[rule]

    def _read_in_int8(self, tensor: Any) -> bool:
        calls = [call for call in self.wiring.readers(tensor) if call is not None]
        return any(self.rule(call) is not None for call in calls)

    def _averaged_beside_others(self, tensor: Any) -> bool:
        """Whether an average is one of several readers.

        The tensor is then rounded once more, which changes no value, but without it the TFLite
        converter leaves the other readers in float.
        """
        calls = [call for call in self.wiring.readers(tensor) if call is not None]
        return len(calls) > 1 and any(self.rule(call) is Rule.AVERAGE for call in calls)

    def _clipped_next(self, tensor: Any) -> bool:
        reader = self.wiring.only_reader(tensor)
        return reader is not None and self.rule(reader) is Rule.CLIP

    def _join(self, call: Call) -> None:
        """Give the inputs of a concatenation one range; those with a fixed range keep it, too.

        Such an input has a second range, which is that of all concatenations that read it.
        """
        ranges = {self._fixed.get(self.group(tensor)) for tensor in call.inputs}
        for tensor in call.inputs:
            if len(ranges) == 1 or self.group(tensor) not in self._fixed:
                self._unite(tensor, call.outputs[0])
            else:
                self._unite(self._joined.setdefault(id(tensor), call.outputs[0]), call.outputs[0])

    def _root(self, key: int) -> int:
        while self._parents.get(key, key) != key:
            key = self._parents[key]
        return key

    def _unite(self, first: Any, second: Any) -> None:
        self._parents[self._root(id(second))] = self._root(id(first))


def _names(skip: Any) -> Iterable[str]:
    accepted = "a sequence of layer names, or 'unsupported'"
    if isinstance(skip, str) or not isinstance(skip, Sequence):
        raise checks.reject("skip", skip, accepted)
    for name in skip:
        if not isinstance(name, str):
            raise checks.reject("skip", skip, accepted)
    return skip
