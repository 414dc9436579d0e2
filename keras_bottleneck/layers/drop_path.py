"""Stochastic depth."""

from typing import Any, Unpack

import keras

from keras_bottleneck import checks
from keras_bottleneck.layers.arguments import LayerArguments
from keras_bottleneck.layers.block import Shape


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class DropPath(keras.layers.Dropout):
    """Drops whole samples in training and scales the others by `1 / (1 - rate)`.

    At the end of a residual branch this is stochastic depth (Huang et al. 2016): a dropped
    sample sees only the shortcut. The identity at inference.

    Args:
        rate: Probability of dropping a sample, in [0, 1).
        seed: Seed of the layer's own random generator.

    Input and output shape: any, the batch first.

    Raises:
        ValueError: If `rate` is outside [0, 1).

    Example:
        >>> DropPath(0.1)(keras.Input((8, 8, 16))).shape
        (None, 8, 8, 16)
    """

    def __init__(
        self, rate: float, seed: int | None = None, **kwargs: Unpack[LayerArguments]
    ) -> None:
        super().__init__(checks.number("rate", rate, 0, 1, below=True), seed=seed, **kwargs)

    def build(self, input_shape: Shape) -> None:
        """Fix the mask's shape: one number for each sample."""
        self.noise_shape = (None, *(1,) * (len(input_shape) - 1))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = super().get_config()
        del config["noise_shape"]
        return config
