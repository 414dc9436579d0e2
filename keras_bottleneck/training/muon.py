"""Muon for convolutional networks: their kernels, which Keras's optimizer passes over."""

import re
from collections.abc import Sequence
from typing import Any

import keras

from keras_bottleneck import keras_private


class KernelMuon(keras.optimizers.Muon):
    """`keras.optimizers.Muon` that takes the kernels of convolutions, too.

    Keras's takes variables with two axes, in a convolutional network those of the head alone, and
    leaves all others to AdamW. This one takes a kernel (height, width, inputs, outputs) as the
    matrix of its outputs, (height * width * inputs, outputs). What has one axis goes by AdamW, and
    so do kernels with a single output for each input, as depthwise ones: they are no matrices.

    Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; the scale
    of a step, so that one learning rate suits both: Liu et al. 2025, "Muon is Scalable for LLM
    Training", section 2.2.

    Args:
        exclude_layers: Regular expressions: what is in the path of a variable that goes by AdamW.
        **kwargs: Those of the Keras optimizer, but for a decay of the weights.
    """

    def __init__(self, exclude_layers: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(exclude_layers=list(exclude_layers), adam_weight_decay=None, **kwargs)
        self.taken: list[bool] = []

    def build(self, variables: Sequence[Any]) -> None:
        # Not when a step is taken: TensorFlow's own variables, which come then, have no paths.
        self.taken = [self._takes(variable) for variable in variables]
        super().build(variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = keras_private.variable_index(self, variable)
        if not self.taken[index]:
            super().update_step(gradient, variable, learning_rate)
            return
        momentum = self.momentums[index]
        self.assign(momentum, self.momentum * momentum + gradient)
        direction = gradient + self.momentum * momentum if self.nesterov else momentum
        matrix = keras.ops.reshape(direction, (-1, variable.shape[-1]))
        step = self.lr_adjust(self.zeropower_via_newtonschulz5(matrix, self.ns_steps))
        rate = keras.ops.cast(learning_rate, variable.dtype)
        self.assign_sub(variable, rate * keras.ops.reshape(step, variable.shape))

    def _takes(self, variable: Any) -> bool:
        """Whether `variable` goes by Muon's step, not by AdamW's."""
        excluded = any(re.search(one, variable.path) for one in self.exclude_layers)
        return len(variable.shape) > 1 and variable.shape[-1] > 1 and not excluded

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = super().get_config()
        return {name: one for name, one in config.items() if name != "adam_weight_decay"}
