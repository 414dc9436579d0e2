"""What a network costs: parameters, multiply-accumulates and activation memory."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import keras

from keras_bottleneck import checks
from keras_bottleneck.analysis.liveness import Step, steps
from keras_bottleneck.analysis.macs import macs
from keras_bottleneck.console import Printable
from keras_bottleneck.graph.flatten import flatten
from keras_bottleneck.graph.rebuild import functional, rebuild

# Bytes of one activation.
BYTES = {"int8": 1, "int16": 2, "float16": 2, "float32": 4}


@dataclass(frozen=True)
class LayerCost:
    """One call of a layer, for one sample.

    Attributes:
        name: The layer's name; of one that is called twice, on two rows.
        kind: Its class.
        output_shape: Of its first output, without the batch.
        parameters: Elements of its weights, on the row of its first call.
        trainable: Those of them that are trained.
        macs: Multiply-accumulates.
        activations: Elements of the tensors that it makes; 0 where it is fused into the layer
            before it, or is not there at inference.
        live: Elements of all activation tensors that exist while it runs.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    trainable: int
    macs: int
    activations: int
    live: int


@dataclass(frozen=True)
class CostReport(Printable):
    """What a model costs for one sample; printing it shows a table.

    Attributes:
        model: The model's name.
        input_shapes: Of its inputs, without the batch.
        layers: One `LayerCost` for each call, in execution order.
        uncounted: Names of layers that multiply in a way that is not known here; `macs` lacks
            theirs.
    """

    model: str
    input_shapes: tuple[tuple[int, ...], ...]
    layers: tuple[LayerCost, ...]
    uncounted: tuple[str, ...]

    @property
    def parameters(self) -> int:
        """Elements of all weights, batch norm's statistics included."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def trainable_parameters(self) -> int:
        """Elements of the weights that are trained."""
        return sum(layer.trainable for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all convolutions and dense layers."""
        return sum(layer.macs for layer in self.layers)

    @property
    def activations(self) -> int:
        """Elements of all tensors that layers make."""
        return sum(layer.activations for layer in self.layers)

    @property
    def peak(self) -> LayerCost:
        """The first layer during which the most elements are live."""
        return max(self.layers, key=lambda layer: layer.live)

    def peak_bytes(self, dtype: str = "int8") -> int:
        """The most bytes of activations that exist at the same time.

        Args:
            dtype: What one activation is: `"int8"`, `"int16"`, `"float16"` or `"float32"`.

        Raises:
            ValueError: For another `dtype`.
        """
        return self.peak.live * BYTES[checks.one_of("dtype", dtype, BYTES)]

    def __getitem__(self, name: str) -> LayerCost:
        """The first row of the layer called `name`."""
        row = next((layer for layer in self.layers if layer.name == name), None)
        if row is None:
            raise KeyError(f"{name!r}: {self.model} has no such layer")
        return row

    def to_dict(self) -> dict[str, Any]:
        """All figures, as JSON can hold them."""
        return {
            "model": self.model,
            "input_shapes": [list(shape) for shape in self.input_shapes],
            "parameters": self.parameters,
            "trainable_parameters": self.trainable_parameters,
            "macs": self.macs,
            "activations": self.activations,
            "peak_layer": self.peak.name,
            "peak_bytes": {dtype: self.peak_bytes(dtype) for dtype in BYTES},
            "uncounted": list(self.uncounted),
            "layers": [
                {**asdict(layer), "output_shape": list(layer.output_shape)} for layer in self.layers
            ],
        }

    def to_json(self) -> str:
        """`to_dict` as text."""
        return json.dumps(self.to_dict(), indent=2)

    def __rich__(self) -> Any:
        from rich.table import Table

        shapes = ", ".join(_sides(shape) for shape in self.input_shapes)
        table = Table(title=f"{self.model} on one {shapes}")
        table.add_column("layer", overflow="fold")
        for heading in ("output", "parameters", "MACs", "activations", "live"):
            table.add_column(heading, justify="right")
        shown = [layer for layer in self.layers if layer.macs or layer.activations]
        for layer in shown:
            table.add_row(layer.name, _sides(layer.output_shape), *_figures(layer))
        if others := len(self.layers) - len(shown):
            inside = self.parameters - sum(layer.parameters for layer in shown)
            table.add_row(f"{others} more", "fused", f"{inside:,}", "", "", "")
        table.add_section()
        totals = (self.parameters, self.macs, self.activations)
        table.add_row("total", "", *(f"{total:,}" for total in totals), f"{self.peak.live:,}")
        peaks = [f"{self.peak_bytes(dtype) / 1e6:.2f} MB {dtype}" for dtype in ("int8", "float32")]
        table.caption = f"most activations at once: {', '.join(peaks)}, in {self.peak.name}"
        if self.uncounted:
            table.caption += f"; MACs without those of {', '.join(self.uncounted)}"
        return table


def _sides(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _figures(layer: LayerCost) -> list[str]:
    figures = (layer.parameters, layer.macs, layer.activations, layer.live)
    return [f"{figure:,}" if figure else "" for figure in figures]


def cost(model: keras.Model, input_shape: Sequence[Any] | None = None) -> CostReport:
    """Count the parameters, multiply-accumulates and activations of each layer of `model`.

    The network is counted as it stands, its blocks and nested models flattened. What
    `graph.fold` and `quantize` make of it are networks of their own: count those for a device.

    - MACs are those of convolutions and dense layers, as `MACS` has them; biases, sums and
      pooling do not count.
    - Peak memory is the most activations that exist at the same time, layer after layer in
      Keras's order. Activation functions, and batch norms behind a convolution, are fused into
      the layer before them, zero padding that amounts to `padding="same"` into the convolution
      behind it; nothing else happens in place. Runtimes that compute residual sums or reshapes
      in place need less.

    Args:
        model: Any functional or built `Sequential` model; it stays untouched.
        input_shape: The shape of one sample, such as (height, width, channels), or a list of
            one for each input; needed where the model leaves sizes open. Sizes may differ from
            the model's own where its layers allow it.

    Returns:
        A `CostReport`: print it, or ask it for `macs`, `parameters`, `peak_bytes("int8")`,
        `layers`, `to_json()`.

    Raises:
        ValueError: If `model` is subclassed or has no input shape, or `input_shape` is missing
            or cannot enter it.

    Example:
        >>> from keras_bottleneck.models import MobileNetV2
        >>> report = cost(MobileNetV2(), (224, 224, 3))
        >>> report.macs, report.peak_bytes("int8")
        (300774272, 1505280)
    """
    network = at_shape(model, input_shape)
    counted: set[int] = set()
    layers, uncounted = [], []
    for step in steps(network):
        operation = step.call.operation
        count = macs(operation, *_shapes(step))
        if count is None:
            uncounted.append(operation.name)
        layers.append(_row(step, count or 0, first_call=id(operation) not in counted))
        counted.add(id(operation))
    return CostReport(
        model=network.name,
        input_shapes=tuple(tuple(tensor.shape[1:]) for tensor in network.inputs),
        layers=tuple(layers),
        uncounted=tuple(dict.fromkeys(uncounted)),
    )


def at_shape(model: keras.Model, input_shape: Sequence[Any] | None) -> keras.Model:
    """A flat copy of `model` for one sample of `input_shape`, in which all shapes are known.

    Raises:
        ValueError: As `cost`.
    """
    own = [tuple(tensor.shape[1:]) for tensor in functional(model).inputs]
    shapes = own if input_shape is None else _checked_shapes(model, own, input_shape)
    if any(None in shape for shape in shapes):
        accepted = f"given for model {model.name!r}, whose input is {_listed(own)}"
        raise checks.reject("input_shape", input_shape, accepted)
    flat = flatten(model)
    inputs = [
        keras.Input(batch_shape=(1, *shape), dtype=tensor.dtype, name=tensor.name)
        for shape, tensor in zip(shapes, flat.inputs, strict=True)
    ]
    try:
        return rebuild(flat, lambda call, args, kwargs: call.operation(*args, **kwargs), inputs)
    except (ValueError, TypeError) as error:
        accepted = f"a shape that model {model.name!r} can take ({checks.first_line(error)})"
        raise checks.reject("input_shape", input_shape, accepted) from None


def _checked_shapes(
    model: keras.Model, own: list[tuple[int | None, ...]], given: Sequence[Any]
) -> list[tuple[int, ...]]:
    """`given` as one shape for each input, with the channels of the model's."""
    accepted = f"the shape of one sample of model {model.name!r}, whose input is {_listed(own)}"
    several = isinstance(given, (list, tuple)) and given and isinstance(given[0], (list, tuple))
    try:
        shapes = [
            checks.integers("input_shape", shape) for shape in (given if several else [given])
        ]
    except ValueError:
        raise checks.reject("input_shape", given, accepted) from None
    fits = len(shapes) == len(own) and all(
        len(shape) == len(wanted) and wanted[-1] in (None, shape[-1])
        for shape, wanted in zip(shapes, own, strict=False)
    )
    if not fits:
        raise checks.reject("input_shape", given, accepted)
    return shapes


def _listed(shapes: list[tuple[int | None, ...]]) -> str:
    return " and ".join(map(str, shapes))


def _shapes(step: Step) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of the first input and output of a call, without the batch."""
    first = step.call.inputs[0] if step.call.inputs else step.call.outputs[0]
    return tuple(first.shape[1:]), tuple(step.call.outputs[0].shape[1:])


def _row(step: Step, count: int, first_call: bool) -> LayerCost:
    operation = step.call.operation
    weights = getattr(operation, "weights", []) if first_call else []
    trained = operation.trainable_weights if weights else []
    return LayerCost(
        name=operation.name,
        kind=type(operation).__name__,
        output_shape=_shapes(step)[1],
        parameters=_elements(weights),
        trainable=_elements(trained),
        macs=count,
        activations=step.made,
        live=step.live,
    )


def _elements(weights: list[Any]) -> int:
    return sum(math.prod(weight.shape) for weight in weights)
