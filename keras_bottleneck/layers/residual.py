"""F(x) + x around any layers."""

from collections.abc import Sequence
from typing import Any, Unpack

import keras

from keras_bottleneck import checks
from keras_bottleneck.layers import activation as activations
from keras_bottleneck.layers.arguments import LayerArguments
from keras_bottleneck.layers.block import Block, Shape, build_chain


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class Residual(Block):
    """Adds its input to what `layers` make of it: `activation(layers(x) + x)`.

    Args:
        layers: A layer, or layers that apply one after the other.
        activation: After the sum; None for a linear one.

    Input and output shape: any that `layers` leave unchanged.

    Raises:
        ValueError: If the output of `layers` has another shape than the input; the message
            shows both.

    Source: He et al. 2015, eq. 1.

    Example:
        >>> conv = keras.layers.Conv2D(16, 3, padding="same")
        >>> Residual([conv, keras.layers.ReLU()])(keras.Input((8, 8, 16))).shape
        (None, 8, 8, 16)
    """

    def __init__(
        self,
        layers: keras.layers.Layer | Sequence[keras.layers.Layer],
        activation: activations.Activation = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        super().__init__(**kwargs)
        chain = [layers] if isinstance(layers, keras.layers.Layer) else layers
        if not isinstance(chain, (list, tuple)) or not chain:
            raise checks.reject("layers", layers, "a Keras layer or a sequence of them")
        self.layers = [_deserialized(layer) for layer in chain]
        self.activation = activations.check(activation)
        self.add = keras.layers.Add(**self.named("add"))
        self.final_activation = activations.make(self.activation, **self.named("act"))
        if not self.trainable:
            for layer in self.layers:
                layer.trainable = False

    def build(self, input_shape: Shape) -> None:
        """Build the chain, and see that it leaves the shape unchanged."""
        output_shape = build_chain(self.layers, input_shape)
        if tuple(output_shape) != tuple(input_shape):
            raise ValueError(
                f"`layers` of {self.name!r} must leave the input's shape unchanged. Received: "
                f"input {tuple(input_shape)!r}, output of layers {tuple(output_shape)!r}"
            )
        self.add.build([output_shape, output_shape])
        if self.final_activation is not None:
            self.final_activation.build(output_shape)

    def call(self, x: Any) -> Any:
        """Apply the layers to `x` and add `x`."""
        y = x
        for layer in self.layers:
            y = layer(y)
        y = self.add([y, x])
        return y if self.final_activation is None else self.final_activation(y)

    def compute_output_shape(self, input_shape: Shape) -> tuple[int | None, ...]:
        """The input's shape."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "layers": [keras.saving.serialize_keras_object(layer) for layer in self.layers],
            "activation": activations.serialize(self.activation),
        }


def _deserialized(layer: Any) -> keras.layers.Layer:
    if isinstance(layer, dict):
        layer = keras.saving.deserialize_keras_object(layer)
    if not isinstance(layer, keras.layers.Layer):
        raise checks.reject("layers", layer, "a Keras layer or a sequence of them")
    return layer
