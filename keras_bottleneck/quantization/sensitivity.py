"""Which layers lose how much by being quantized."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_bottleneck import charts, checks, keras_private
from keras_bottleneck.console import Printable, track
from keras_bottleneck.data import samples
from keras_bottleneck.graph.cast import in_float32
from keras_bottleneck.keras_private import Call
from keras_bottleneck.quantization.calibration import Options, calibrated
from keras_bottleneck.quantization.insertion import Insertion
from keras_bottleneck.quantization.kernels import QuantizedKernel
from keras_bottleneck.quantization.observation import activations
from keras_bottleneck.quantization.placement import Placement
from keras_bottleneck.quantization.primitive import primitive
from keras_bottleneck.quantization.quantizers import FakeQuantize, checked_float_model
from keras_bottleneck.quantization.reconstruction import sqnr

Array = np.ndarray[Any, Any]

ROWS = 20


@dataclass(frozen=True)
class Sensitivity(Printable):
    """What each layer's quantization alone does to the output; printing it shows a table.

    Attributes:
        images: How many images it was measured on.
        layers: Names of the layers with kernels and the ratio of signal to noise of the model's
            output in dB where that layer alone is quantized, the most sensitive first.
        whole: The same where all are.
    """

    images: int
    layers: tuple[tuple[str, float], ...]
    whole: float

    def worst(self, count: int) -> tuple[str, ...]:
        """The names of the `count` most sensitive layers, as `quantize` takes them in `skip`."""
        count = checks.integer("count", count, minimum=0)
        return tuple(name for name, _ in self.layers[:count])

    def layers_to_keep(self, wanted: float) -> tuple[str, ...]:
        """The fewest layers to leave in float for an output with `wanted` dB.

        The noise of the layers is taken to add up. Layers kept in float can equally be computed
        with 16-bit activations, whose noise is 48 dB lower.

        Args:
            wanted: The ratio of signal to noise in dB.
        """
        noise = [10 ** (-ratio / 10) for _, ratio in self.layers]
        allowed = 10 ** (-checks.number("wanted", wanted) / 10)
        left = [sum(noise[kept:]) for kept in range(len(noise) + 1)]
        return self.worst(next(kept for kept, power in enumerate(left) if power <= allowed))

    def plot(self, path: str | Path) -> Path:
        """Draw the layers as bars, the most sensitive first, into a picture at `path`.

        A name in letters that no font of the machine has is "#" and its position in `layers`.

        Returns:
            The path.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        return charts.sensitivity(self.layers, self.whole).save(path)

    def __rich__(self) -> Any:
        from rich.table import Table

        table = Table(title=f"Sensitivity to int8, on {self.images} images")
        table.add_column("layer quantized alone")
        table.add_column("SQNR of the output", justify="right")
        for name, ratio in self.layers[:ROWS]:
            table.add_row(name, f"{ratio:.1f} dB")
        if len(self.layers) > ROWS:
            table.add_row(f"{len(self.layers) - ROWS} more", "above")
        table.add_section()
        table.add_row("all layers", f"{self.whole:.1f} dB")
        return table


def sensitivity(
    model: keras.Model, data: Any, *, skip: Sequence[str] | str = (), images: int = 16
) -> Sensitivity:
    """Quantize each layer of `model` alone, and measure the noise in the output.

    A layer's part is its kernel, its bias and the rounding of its output.

    Args:
        model: A float model, as for `quantize`; it stays untouched.
        data: Images, as `quantize` takes them for calibration.
        skip: Layers that stay in float, as for `quantize`.
        images: How many of them are used at the most; the time grows with images and layers.

    Returns:
        A `Sensitivity`: print it, `plot` it, or ask it for `layers_to_keep`.

    Raises:
        ValueError: For a wrong argument, as `quantize` does.

    Example:
        >>> from keras_bottleneck.models import ResNet
        >>> model = ResNet("basic", (1,), filters=(8,), stem="cifar", input_shape=(16, 16, 3))
        >>> noise = np.random.default_rng(0).normal(size=(8, 16, 16, 3))
        >>> len(sensitivity(model, noise).layers)
        4
    """
    network = checked_float_model(model)
    limit = checks.integer("images", images)
    placement = Placement(primitive(in_float32(network)), skip)
    inputs, _ = samples.read("data", data, network.inputs[0].shape, limit, labelled=False)
    insertion, _ = calibrated(placement, inputs, Options())
    return measured(insertion, inputs)


def measured(insertion: Insertion, images: Array) -> Sensitivity:
    """The sensitivity of the layers of a calibrated model."""
    layers = list(dict.fromkeys(_kernels(insertion.model)))
    x = keras.ops.convert_to_tensor(images)
    exact = _outputs(insertion, x, None)
    ratios = [
        (layer.name, sqnr(exact, _outputs(insertion, x, layer)))
        for layer in track(layers, len(layers), "quantize one layer at a time")
    ]
    model = insertion.model
    batches = activations(model, model.outputs, images, "evaluate")
    rounded = [np.concatenate(parts) for parts in zip(*batches, strict=True)]
    return Sensitivity(
        images=len(images),
        layers=tuple(sorted(ratios, key=lambda pair: pair[1])),
        whole=sqnr(exact, _joined(rounded)),
    )


def _kernels(model: keras.Model) -> list[QuantizedKernel]:
    operations = [call.operation for call in keras_private.calls(model)]
    return [operation for operation in operations if isinstance(operation, QuantizedKernel)]


@dataclass
class _Value:
    """A tensor, and whether it comes from the quantized layer without rounding since."""

    tensor: Any
    fresh: bool = False


def _outputs(insertion: Insertion, x: Any, quantized: QuantizedKernel | None) -> Array:
    """What the network makes of `x` with one layer quantized, or none: all outputs, flat."""

    def visit(call: Call, args: Any, kwargs: Any) -> Any:
        operation = call.operation
        if isinstance(operation, FakeQuantize):
            value = args[0]
            rounded = operation(value.tensor)[0] if value.fresh else value.tensor
            return _Value(rounded), *operation.grid()
        if isinstance(operation, QuantizedKernel):
            value, step = args
            if operation is quantized:
                return _Value(operation(value.tensor, step), fresh=True)
            return _Value(insertion.sources[id(operation)](value.tensor))
        values = [
            value for value in keras.tree.flatten((args, kwargs)) if isinstance(value, _Value)
        ]
        args, kwargs = keras.tree.map_structure(
            lambda value: value.tensor if isinstance(value, _Value) else value, (args, kwargs)
        )
        outputs = operation(*args, **kwargs)
        fresh = any(value.fresh for value in values)
        return keras.tree.map_structure(lambda tensor: _Value(tensor, fresh), outputs)

    return _joined(
        [value.tensor for value in keras_private.replay(insertion.model, [_Value(x)], visit)]
    )


def _joined(outputs: list[Any]) -> Array:
    arrays = [np.asarray(keras.ops.convert_to_numpy(output)) for output in outputs]
    return np.concatenate([array.reshape(len(array), -1) for array in arrays], axis=1)
