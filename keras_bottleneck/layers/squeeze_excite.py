"""Squeeze-and-excitation: channels weighted by what the whole image holds."""

from typing import Any, Unpack

import keras

from keras_bottleneck import checks
from keras_bottleneck.layers import activation as activations
from keras_bottleneck.layers.arguments import LayerArguments
from keras_bottleneck.layers.block import Block, Shape, image_channels


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class SqueezeExcite(Block):
    """Global average, 1x1 reduce, activation, 1x1 expand, gate; the input is multiplied by it.

    Args:
        ratio: Channels between the two 1x1 convolutions, as a part of the input's.
        activation: After the reduction.
        gate: After the expansion.

    Input and output shape: `(batch, height, width, channels)`.

    Raises:
        ValueError: If `ratio` is outside (0, 1], or an activation is unknown.

    Source: Hu et al. 2018, fig. 3.

    Example:
        >>> SqueezeExcite(0.25)(keras.Input((8, 8, 16))).shape
        (None, 8, 8, 16)
    """

    def __init__(
        self,
        ratio: float = 0.25,
        activation: activations.Activation = "relu",
        gate: activations.Activation = "sigmoid",
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.ratio = checks.number("ratio", ratio, 0, 1, above=True)
        self.activation = activations.check(activation)
        self.gate = activations.check(gate, "gate")

    def build(self, input_shape: Shape) -> None:
        """Make and build the sub-layers for an input of `input_shape`."""
        channels = image_channels(self, input_shape)
        reduced = max(1, round(channels * self.ratio))
        self.squeeze = keras.layers.GlobalAveragePooling2D(keepdims=True, **self.named("squeeze"))
        self.reduce = keras.layers.Conv2D(reduced, 1, **self.named("reduce"))
        self.reduce_activation = activations.make(self.activation, **self.named("reduce_act"))
        self.expand = keras.layers.Conv2D(channels, 1, **self.named("expand"))
        self.gate_activation = activations.make(self.gate, **self.named("gate"))
        self.scale = keras.layers.Multiply(**self.named("scale"))

        squeezed = (input_shape[0], 1, 1, channels)
        self.reduce.build(squeezed)
        self.expand.build((*squeezed[:3], reduced))
        self.scale.build([input_shape, squeezed])
        for layer, width in ((self.reduce_activation, reduced), (self.gate_activation, channels)):
            if layer is not None:
                layer.build((*squeezed[:3], width))

    def call(self, x: Any) -> Any:
        """Weigh the channels of `x`."""
        weight = self.reduce(self.squeeze(x))
        if self.reduce_activation is not None:
            weight = self.reduce_activation(weight)
        weight = self.expand(weight)
        if self.gate_activation is not None:
            weight = self.gate_activation(weight)
        return self.scale([x, weight])

    def compute_output_shape(self, input_shape: Shape) -> tuple[int | None, ...]:
        """The input's shape."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "activation": activations.serialize(self.activation),
            "gate": activations.serialize(self.gate),
        }
