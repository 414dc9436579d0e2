"""Half of the channels through bottlenecks, half past them: CSPNet's stage."""

from typing import Any, Unpack

import keras

from keras_bottleneck import checks
from keras_bottleneck.layers import activation as activations
from keras_bottleneck.layers.arguments import LayerArguments
from keras_bottleneck.layers.block import Block, Shape, build_chain, image_channels
from keras_bottleneck.layers.conv_norm_act import ConvNormAct
from keras_bottleneck.layers.darknet_bottleneck import DarknetBottleneck


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class CSPLayer(Block):
    """1x1 and bottlenecks beside another 1x1, concatenated, 1x1 (Wang et al. 2020, "CSPNet").

    Args:
        filters: Output channels.
        blocks: How many layers `DarknetBottleneck` there are.
        expansion: Channels of each half, as a part of `filters`.
        groups: Groups of the 3x3 convolutions.
        shortcut: Of the bottlenecks: `"identity"` or `"none"`.
        padding: `"symmetric"` (PyTorch's) or `"same"` (TensorFlow's).
        activation: After each convolution.
        epsilon: Batch norm's epsilon.
        momentum: Batch norm's momentum, in Keras's sense.

    Input shape: `(batch, height, width, channels)`.
    Output shape: `(batch, height, width, filters)`.

    Raises:
        ValueError: For an argument out of range.

    Source: `C3` of ultralytics/yolov5, `CSPLayer` of mmdetection.

    Example:
        >>> CSPLayer(64, blocks=2)(keras.Input((28, 28, 32))).shape
        (None, 28, 28, 64)
    """

    def __init__(
        self,
        filters: int,
        blocks: int = 1,
        expansion: float = 0.5,
        groups: int = 1,
        shortcut: str = "identity",
        padding: str = "symmetric",
        activation: activations.Activation = "silu",
        epsilon: float = 1e-5,
        momentum: float = 0.9,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.filters = checks.integer("filters", filters)
        self.blocks = checks.integer("blocks", blocks)
        self.expansion = checks.number("expansion", expansion, above=True)
        self.groups = checks.integer("groups", groups)
        self.shortcut = checks.one_of("shortcut", shortcut, ("identity", "none"))
        self.padding = checks.one_of("padding", padding, ("symmetric", "same"))
        self.activation = activations.check(activation)
        self.epsilon = checks.number("epsilon", epsilon, above=True)
        self.momentum = checks.number("momentum", momentum, 0, 1)
        width = int(self.filters * self.expansion)
        if width == 0:
            raise checks.reject("expansion", expansion, "large enough for one channel")
        if width % self.groups:
            raise checks.reject("groups", groups, f"a divisor of the {width} channels of each half")

        settings: dict[str, Any] = {
            "padding": self.padding,
            "activation": self.activation,
            "epsilon": self.epsilon,
            "momentum": self.momentum,
        }
        self.enter = ConvNormAct(width, 1, **settings, **self.named("enter"))
        self.bottlenecks = [
            DarknetBottleneck(
                width,
                expansion=1.0,
                groups=self.groups,
                shortcut=self.shortcut,
                **settings,
                **self.named(f"bottleneck{index}"),
            )
            for index in range(1, self.blocks + 1)
        ]
        self.bypass = ConvNormAct(width, 1, **settings, **self.named("bypass"))
        self.concatenate = keras.layers.Concatenate(**self.named("concatenate"))
        self.merge = ConvNormAct(self.filters, 1, **settings, **self.named("merge"))

    def build(self, input_shape: Shape) -> None:
        """Build the sub-layers for an input of `input_shape`."""
        image_channels(self, input_shape)
        halves = [
            build_chain([self.enter, *self.bottlenecks], input_shape),
            build_chain([self.bypass], input_shape),
        ]
        self.concatenate.build(halves)
        build_chain([self.merge], self.concatenate.compute_output_shape(halves))

    def call(self, x: Any) -> Any:
        """Apply both halves to `x` and merge them."""
        y = self.enter(x)  # 1x1, to filters * expansion
        for bottleneck in self.bottlenecks:
            y = bottleneck(y)
        return self.merge(self.concatenate([y, self.bypass(x)]))  # 1x1, to filters

    def compute_output_shape(self, input_shape: Shape) -> tuple[int | None, ...]:
        """The input's shape with `filters` channels."""
        image_channels(self, input_shape)
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "blocks": self.blocks,
            "expansion": self.expansion,
            "groups": self.groups,
            "shortcut": self.shortcut,
            "padding": self.padding,
            "activation": activations.serialize(self.activation),
            "epsilon": self.epsilon,
            "momentum": self.momentum,
        }
