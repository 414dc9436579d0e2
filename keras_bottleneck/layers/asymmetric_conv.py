"""A square convolution whose central row and column are strengthened: ACNet's block."""

import keras

from keras_bottleneck.layers.conv_norm_act import ConvNormAct
from keras_bottleneck.layers.parallel_branches import ParallelBranches


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class AsymmetricConv2D(ParallelBranches):
    """k x k + 1 x k + k x 1, each with batch norm, summed (Ding et al. 2019, "ACNet", fig. 2).

    `graph.fold` makes it one k x k convolution with a bias: what is gained in training costs
    nothing at inference.

    Args:
        filters: Output channels.
        kernel_size: k, an odd number.
        stride: Spatial stride.
        **kwargs: The other arguments of `ParallelBranches` (`groups`, `dilation`, `padding`,
            `activation`, by default None, `epsilon`, `momentum`, `gamma_initializer`) and of
            `keras.layers.Layer` (`name`, `dtype`).

    Input shape: `(batch, height, width, channels)`.
    Output shape: `(batch, ceil(height / stride), ceil(width / stride), filters)`.

    Raises:
        ValueError: As `ParallelBranches`.

    Example:
        >>> AsymmetricConv2D(32, 3, stride=2, activation="relu")(keras.Input((56, 56, 16))).shape
        (None, 28, 28, 32)
    """

    def make_branches(self, channels: int) -> tuple[ConvNormAct, ...]:
        """The square, the horizontal and the vertical convolution."""
        side = self.kernel_size
        return (
            self.conv_norm("square", side),
            self.conv_norm("row", (1, side)),
            self.conv_norm("column", (side, 1)),
        )
