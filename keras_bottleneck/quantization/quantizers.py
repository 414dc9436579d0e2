"""`FakeQuantize`, the layer that puts activations on the grid of an 8-bit tensor."""

from typing import Any

import keras
import numpy as np

from keras_bottleneck import checks, keras_private
from keras_bottleneck.graph.rebuild import functional
from keras_bottleneck.quantization.fake_quant import fake_quant, float32, step_of
from keras_bottleneck.quantization.runtime_rounding import nudge

# What is zero everywhere still has a step to divide by.
NARROWEST = 1e-4


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class FakeQuantize(keras.layers.Layer):
    """Rounds a tensor to the 256 levels of one range, zero among them.

    The step of the grid and the code of zero leave beside the values, because the layers that read
    them need them: a bias lies on the grid of input step times kernel step. Called on several
    tensors, it gives all of them one range. While `moving` is 1 (see `QuantizationSchedule`),
    training steps pull the range towards that of their batch.

    Args:
        momentum: Part of the old range that a training step keeps, in [0, 1).
        fixed: Whether the range never moves, like a sigmoid's; training passes it unrounded.

    Input shape: any.
    Output: a tensor of the same shape and dtype; the step and the int8 code of zero, float32
    scalars.

    Raises:
        ValueError: For a wrong argument.

    Source: Jacob et al. 2018, section 3.

    Example:
        >>> values, step, zero = FakeQuantize()(keras.ops.convert_to_tensor([0.0, 0.3, 9.0]))
        >>> float(keras.ops.max(values)) < 1.01
        True
    """

    # Up to rounding: what looks for a model's last layer looks further.
    passes_values_on = True
    low: Any
    high: Any
    moving: Any

    def __init__(self, momentum: float = 0.99, fixed: bool = False, **kwargs: Any) -> None:
        # The step of the input must not be rounded to half precision.
        super().__init__(autocast=False, **kwargs)
        self.momentum = checks.number("momentum", momentum, 0.0, 1.0, below=True)
        self.fixed = checks.boolean("fixed", fixed)

    def build(self, input_shape: Any) -> None:
        """Make the range, -1 to 1 until it is set."""
        for name, value in (("low", -1.0), ("high", 1.0), ("moving", 0.0)):
            weight = self.add_weight(
                shape=(),
                initializer=keras.initializers.Constant(value),
                dtype="float32",
                trainable=False,
                # In full precision when the network around computes in half.
                autocast=False,
                name=name,
            )
            setattr(self, name, weight)

    def set_range(self, low: float, high: float) -> None:
        """Quantize between `low` (at most 0) and `high` (at least 0) from now on."""
        self.low.assign(low)
        self.high.assign(high)

    def freeze(self) -> None:
        """Make constants of the range: what has fewer variables is converted sooner."""
        self.low, self.high = map(keras.ops.convert_to_numpy, (self.low, self.high))

    def call(
        self,
        x: Any,
        input_step: Any = None,
        rule: str | None = None,
        factor: float = 1.0,
        input_zero: Any = None,
        training: bool | None = None,
    ) -> tuple[Any, Any, Any]:
        """The rounded `x`, and the step and the code of zero of its grid.

        Args:
            x: What an operator has computed.
            input_step: The step of that operator's input, where `rule` needs it.
            rule: How TFLite rounds it, if not to the nearest; see `runtime_rounding.nudge`.
            factor: What else the rule needs.
            input_zero: The int8 code of zero of the operator's input, where `rule` needs it.
            training: Whether the range may move.
        """
        grid = self.grid()
        x = float32(x)
        if training and self.fixed:
            # A probability that is rounded to zero has no gradient to learn from.
            return keras.ops.cast(x, self.compute_dtype), *grid
        if training:
            self._follow(keras.ops.stop_gradient(x))
        if rule is not None:
            x = x + nudge(rule, x, *grid, input_step, input_zero, factor)
        return keras.ops.cast(fake_quant(x, self.low, self.high), self.compute_dtype), *grid

    def grid(self) -> tuple[Any, Any]:
        """The distance of two levels, and the int8 code of zero."""
        step = step_of(self.low, self.high)
        return step, keras.ops.round(-self.low / step) - 128.0

    def _follow(self, x: Any) -> None:
        """Move the range towards that of `x`; zero stays inside."""
        rate = (1.0 - self.momentum) * self.moving
        low = keras.ops.minimum(keras.ops.min(x), 0.0)
        high = keras.ops.maximum(keras.ops.max(x), NARROWEST)
        self.low.assign(self.low + rate * (low - self.low))
        self.high.assign(self.high + rate * (high - self.high))

    def compute_output_spec(self, x: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any, Any]:
        """The spec of `x`, and those of two scalars."""
        scalars = (keras.KerasTensor((), "float32") for _ in range(2))
        return keras.KerasTensor(x.shape, self.compute_dtype), *scalars

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "momentum": self.momentum, "fixed": self.fixed}


def is_quantized(model: keras.Model) -> bool:
    """Whether `model` came from `quantize`."""
    return any(isinstance(layer, FakeQuantize) for layer in keras_private.sublayers(model))


def checked_float_model(model: Any) -> keras.Model:
    """`model` as a functional one, if it is a float model of images.

    Raises:
        ValueError: If it is not, or is subclassed or has no input shape yet.
    """
    network = functional(model)
    if is_quantized(network):
        raise ValueError(
            f"`model` must be a float model. Received: model={network.name!r}, which is quantized"
        )
    for layer in keras_private.sublayers(network):
        if not all(np.isfinite(weight).all() for weight in layer.get_weights()):
            raise ValueError(
                f"`model` must have finite weights. Received: model={network.name!r} with NaN or "
                f"infinity in layer {layer.name!r}"
            )
    shapes = [tensor.shape for tensor in network.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][-1] is None:
        raise ValueError(
            "`model` must have one input (batch, height, width, channels). "
            f"Received: model={network.name!r} with inputs {shapes}"
        )
    return network
