"""3x3, 1x1 and identity in training, a plain 3x3 at inference: RepVGG's block."""

from typing import Any

import keras

from keras_bottleneck.layers import activation as activations
from keras_bottleneck.layers.normalization import BatchNormalization
from keras_bottleneck.layers.parallel_branches import ParallelBranches


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class RepVGGBlock(ParallelBranches):
    """3x3 + 1x1 + identity, each with batch norm, summed, ReLU (Ding et al. 2021, fig. 4).

    The identity is there where the shapes allow it: stride 1 and equal channels. `graph.fold`
    makes the block one 3x3 convolution with a bias, so that a network of such blocks is as plain
    as VGG's at inference.

    Args:
        filters: Output channels.
        stride: Spatial stride.
        activation: After the sum.
        **kwargs: The other arguments of `ParallelBranches` (`kernel_size`, 3 in the paper,
            `groups`, `dilation`, `padding`, `epsilon`, `momentum`, `gamma_initializer`) and of
            `keras.layers.Layer` (`name`, `dtype`).

    Input shape: `(batch, height, width, channels)`.
    Output shape: `(batch, ceil(height / stride), ceil(width / stride), filters)`.

    Raises:
        ValueError: As `ParallelBranches`.

    Example:
        >>> RepVGGBlock(48, stride=2)(keras.Input((56, 56, 24))).shape
        (None, 28, 28, 48)
    """

    def __init__(
        self,
        filters: int,
        stride: int = 1,
        activation: activations.Activation = "relu",
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, stride=stride, activation=activation, **kwargs)

    def make_branches(self, channels: int) -> list[keras.layers.Layer]:
        """The 3x3, the 1x1 and, where the shapes are equal, the batch norm of the identity."""
        branches: list[keras.layers.Layer] = [
            self.conv_norm("spatial", self.kernel_size),
            self.conv_norm("point", 1),
        ]
        if self.stride == 1 and channels == self.filters:
            norm = BatchNormalization(
                epsilon=self.epsilon,
                momentum=self.momentum,
                gamma_initializer=self.gamma_initializer,
                **self.named("identity_bn"),
            )
            branches.append(norm)
        return branches
