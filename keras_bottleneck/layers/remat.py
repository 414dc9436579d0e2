"""`Remat`: memory for time in training."""

from typing import Any, Unpack

import keras

from keras_bottleneck import checks
from keras_bottleneck.layers.arguments import LayerArguments
from keras_bottleneck.layers.block import Block, Shape


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class Remat(Block):
    """Computes `layer` a second time in the backward pass instead of keeping what is inside it.

    Loss, gradients and batch-norm statistics are those of the layer itself: `keras.remat` alone
    would run its updates twice, so here the computation takes state and returns it. Activity
    regularizers inside are left out. Without training, in exported files and after
    `graph.flatten`, it is the layer and nothing else.

    Args:
        layer: A layer or block of one input and one output.

    Input and output shape: those of `layer`.

    Raises:
        ValueError: If `layer` is no Keras layer.

    Source: Chen et al. 2016, "Training deep nets with sublinear memory cost".

    Example:
        >>> from keras_bottleneck.layers import Bottleneck
        >>> Remat(Bottleneck(64))(keras.Input((56, 56, 64))).shape
        (None, 56, 56, 256)
    """

    def __init__(self, layer: keras.layers.Layer, **kwargs: Unpack[LayerArguments]) -> None:
        super().__init__(**kwargs)
        if isinstance(layer, dict):
            layer = keras.saving.deserialize_keras_object(layer)
        if not isinstance(layer, keras.layers.Layer):
            raise checks.reject("layer", layer, "a Keras layer")
        self.layer = layer
        if not self.trainable:
            layer.trainable = False

    def build(self, input_shape: Shape) -> None:
        """Build the layer."""
        if not self.layer.built:
            self.layer.build(input_shape)

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Apply the layer to `x`."""
        if not training or isinstance(x, keras.KerasTensor):
            return self.layer(x)
        trainable, state = self.layer.trainable_variables, self.layer.non_trainable_variables
        # Copies: what is read again in the backward pass has been overwritten by then.
        before = [keras.ops.copy(variable.value) for variable in state]

        def computed(x: Any, *weights: Any) -> tuple[Any, ...]:
            pairs = [*zip(trainable, weights, strict=True), *zip(state, before, strict=True)]
            with keras.StatelessScope(state_mapping=pairs) as scope:
                # Said again: the second time, the call that decided about it is long over.
                y = self.layer(x, training=True)
            return y, *(scope.get_current_value(variable) for variable in state)

        y, *after = keras.remat(computed)(x, *(variable.value for variable in trainable))
        for variable, value in zip(state, after, strict=True):
            variable.assign(value)
        return y

    def compute_output_shape(self, input_shape: Shape) -> tuple[int | None, ...]:
        """The shape that the layer gives."""
        return tuple(self.layer.compute_output_shape(input_shape))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        layer = keras.saving.serialize_keras_object(self.layer)
        return {**super().get_config(), "layer": layer}
