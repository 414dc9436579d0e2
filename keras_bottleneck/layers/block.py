"""`Block`, the base of all composite layers, and how its sub-layers are named and built."""

import inspect
from collections.abc import Iterable, Sequence
from typing import Any, Unpack

import keras

from keras_bottleneck.keras_private import in_hdf5, sublayers
from keras_bottleneck.layers.arguments import LayerArguments

Shape = Sequence[int | None]


class Block(keras.layers.Layer):
    """A layer whose `call` only applies sub-layers, so that `graph.flatten` can inline it.

    Sub-layers are stock Keras layers or blocks; their names start with the block's own name and
    they share its dtype policy and its `trainable`. Derive from it, and a block of your own is
    folded, quantized and exported like those of this package.

    Raises:
        ValueError: If Keras is set to channels-first images.

    Example:
        >>> class Twice(Block):
        ...     def build(self, input_shape):
        ...         self.conv = keras.layers.Conv2D(8, 3, **self.named("conv"))
        ...         self.conv.build(input_shape)
        ...     def call(self, x):
        ...         return self.conv(x)
        >>> Twice()(keras.Input((32, 32, 3))).shape
        (None, 30, 30, 8)
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            vars(cls)["__init__"].__signature__ = _whole_signature(cls)

    def __init__(self, **kwargs: Unpack[LayerArguments]) -> None:
        super().__init__(**kwargs)
        if keras.config.image_data_format() != "channels_last":
            raise ValueError(
                "`image_data_format` must be 'channels_last' for keras_bottleneck's layers. "
                f"Received: image_data_format={keras.config.image_data_format()!r}"
            )

    def named(self, suffix: str) -> dict[str, Any]:
        """`name`, `dtype` and `trainable` of the sub-layer called `suffix`."""
        return {
            "name": f"{self.name}_{suffix}",
            "dtype": self.dtype_policy,
            # Keras freezes the sub-layers that exist, not those made later: without this, a
            # frozen block would thaw when it is loaded from a file.
            "trainable": self.trainable,
        }

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; in an `.h5` file, which has no other place, how to build."""
        config = super().get_config()
        return {**config, "build_config": self.get_build_config()} if in_hdf5() else config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Block":
        """The layer that `get_config` described."""
        arguments = {name: value for name, value in config.items() if name != "build_config"}
        layer = super().from_config(arguments)
        if config.get("build_config"):
            layer.build_from_config(config["build_config"])
        return layer

    def get_build_config(self) -> dict[str, Any] | None:
        """The input shape, and which sub-layers are frozen where the block is not."""
        config = super().get_build_config()
        frozen = [layer.name for layer in sublayers(self) if not layer.trainable]
        return {**config, "frozen": frozen} if config and frozen and self.trainable else config

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build, and freeze the sub-layers that were frozen."""
        super().build_from_config(config)
        for layer in sublayers(self):
            if layer.name in config.get("frozen", ()):
                layer.trainable = False


def _whole_signature(cls: type) -> inspect.Signature:
    """The signature of the constructor of `cls`, with what its `**kwargs` hand to its bases.

    By it, `help` and editors show the arguments of all bases.
    """
    own, *of_bases = (
        inspect.signature(vars(base)["__init__"])
        for base in cls.__mro__
        if issubclass(base, keras.layers.Layer) and "__init__" in vars(base)
    )
    if inspect.Parameter.VAR_KEYWORD not in {
        parameter.kind for parameter in own.parameters.values()
    }:
        return own
    shown = {
        parameter.name: parameter
        for parameter in own.parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    for parameter in (each for base in of_bases for each in base.parameters.values()):
        if parameter.kind not in variadic:
            shown.setdefault(parameter.name, parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
    return own.replace(parameters=list(shown.values()))


def build_chain(layers: Iterable[keras.layers.Layer], input_shape: Shape) -> Shape:
    """Build `layers` one after the other; returns the shape that leaves the last one."""
    shape = input_shape
    for layer in layers:
        if not layer.built:
            layer.build(shape)
        shape = layer.compute_output_shape(shape)
    return shape


def image_channels(layer: keras.layers.Layer, input_shape: Shape) -> int:
    """The number of channels of `(batch, height, width, channels)`.

    Raises:
        ValueError: If the shape is not that of images with a known number of channels.
    """
    if len(input_shape) != 4 or input_shape[-1] is None:
        raise ValueError(
            f"`input_shape` of {type(layer).__name__} {layer.name!r} must be (batch, height, "
            f"width, channels) with known channels. Received: input_shape={tuple(input_shape)!r}"
        )
    return input_shape[-1]
