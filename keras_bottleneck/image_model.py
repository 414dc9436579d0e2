"""`ImageModel`: a functional model that knows how images become its input."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from keras_bottleneck import checks, keras_private
from keras_bottleneck.construction import quick_variables
from keras_bottleneck.preprocessing import Preprocessing

# The name of the layer that computes on raw pixels what `Preprocessing.normalize` computes.
IN_GRAPH = "preprocessing"


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class ImageModel(keras.Model):
    """A functional model with the `Preprocessing` of its input, which files of Keras keep.

    Attributes:
        preprocessing: From image files to what the model takes; None where nobody has said. It can
            be set. `keras.models.clone_model`, which copies layers only, leaves it behind.
        output_names: What its outputs are called; by default as Keras calls them, by their layers.
            Of a quantized model, the layers' names in the float one. They can be set.
        task: "classification", "multi-label" or "regression" of a model that was made of a compiled
            one, where its last layer alone does not tell; else None.

    Raises:
        ValueError: If `preprocessing` is set to anything else.

    Example:
        >>> image = keras.Input((32, 32, 3))
        >>> model = ImageModel(image, keras.layers.Conv2D(4, 3)(image))
        >>> model.preprocessing = Preprocessing(32)
    """

    _preprocessing: Preprocessing | None = None
    task: str | None = None

    @property
    def preprocessing(self) -> Preprocessing | None:
        """From image files to what the model takes."""
        return self._preprocessing

    @preprocessing.setter
    def preprocessing(self, value: Preprocessing | None) -> None:
        if value is not None and not isinstance(value, Preprocessing):
            raise checks.reject("preprocessing", value, "a Preprocessing or None")
        self._preprocessing = value

    def get_config(self) -> dict[str, Any]:
        """The graph, the preprocessing, names of outputs that no layer has, and the task."""
        carried = None if self.preprocessing is None else self.preprocessing.to_dict()
        config = {**super().get_config(), "preprocessing": carried}
        if list(self.output_names) != _owners(self.outputs):
            config["output_names"] = list(self.output_names)
        if self.task is not None:
            config["task"] = self.task
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> keras.Model:
        """The model that `get_config` described."""
        own = ("preprocessing", "output_names", "task")
        graph = {name: value for name, value in config.items() if name not in own}
        with quick_variables():
            model = super().from_config(graph, custom_objects)
        if keras_private.in_hdf5():
            keras_private.restore_optimizer(model)
        if config.get("preprocessing") is not None:
            model.preprocessing = Preprocessing.from_dict(config["preprocessing"])
        model.output_names = config.get("output_names", model.output_names)
        model.task = config.get("task")
        return model


# In an .h5 file Keras names the class of the whole model without its package, and looks that up. A
# class of the user's with the same name is found first inside `keras.saving.custom_object_scope`.
keras.saving.get_custom_objects()[ImageModel.__name__] = ImageModel


def model_preprocessing(model: keras.Model) -> Preprocessing | None:
    """How images become the input of `model`: size, crop, scale, mean, std and colour order.

    Args:
        model: A model of this package, or one whose input such a model takes as it is.

    Returns:
        The `Preprocessing`; None where the model carries none.

    Raises:
        ValueError: If `model` is no Keras model.

    Example:
        >>> from keras_bottleneck.models import ResNet18
        >>> model = ResNet18(classes=10, preprocessing=Preprocessing(224, std=(0.5,)))
        >>> model_preprocessing(model).std
        (0.5,)
    """
    if not isinstance(model, keras.Model):
        raise checks.reject("model", model, "a Keras model")
    carried = (part.preprocessing for part in image_models(model))
    return next((preprocessing for preprocessing in carried if preprocessing is not None), None)


def image_models(model: keras.Model) -> list[ImageModel]:
    """`model` and the models inside it that take its images as they are, the outermost first."""
    readers = [reader for reader in _readers_of_the_input(model) if isinstance(reader, keras.Model)]
    inside = image_models(readers[0]) if readers else []
    return [model, *inside] if isinstance(model, ImageModel) else inside


def normalizes(model: keras.Model) -> bool:
    """Whether a network of this package takes raw pixels, which it normalizes itself."""
    return any(layer.name == IN_GRAPH for layer in model.layers)


def _readers_of_the_input(model: keras.Model) -> list[Any]:
    if isinstance(model, keras.Sequential):
        return model.layers[:1]
    if len(getattr(model, "inputs", None) or ()) != 1:
        return []
    calls = keras_private.calls(model)
    return [call.operation for call in calls if call.inputs and call.inputs[0] is model.inputs[0]]


def carrying(
    model: keras.Model,
    preprocessing: Preprocessing | None,
    names: Sequence[str] | None = None,
    task: str | None = None,
) -> keras.Model:
    """A functional `model` that carries `preprocessing`, the `names` of its outputs and a `task`.

    It is itself where there is nothing to carry: no preprocessing, no other names than those of the
    layers, and no task.
    """
    names = list(model.output_names if names is None else names)
    if preprocessing is None and names == list(model.output_names) and task is None:
        return model
    carrier = ImageModel(
        keras.tree.pack_sequence_as(keras_private.input_structure(model), model.inputs),
        keras.tree.pack_sequence_as(keras_private.output_structure(model), model.outputs),
        name=model.name,
    )
    carrier.preprocessing = preprocessing
    carrier.output_names = names
    carrier.task = task
    return carrier


def _owners(outputs: Sequence[Any]) -> list[str]:
    return [keras_private.maker(output).name for output in outputs]


def normalized(image: Any, preprocessing: Preprocessing) -> Any:
    """Keras tensor of pixels 0..255 to what `preprocessing.normalize` makes of them."""
    scale = np.divide(preprocessing.scale, preprocessing.std)
    shift = -np.divide(preprocessing.mean, preprocessing.std)
    if preprocessing.color_order == "rgb":
        scale, shift = (
            np.broadcast_to(values, preprocessing.channels) for values in (scale, shift)
        )
        return keras.layers.Rescaling(scale.tolist(), shift.tolist(), name=IN_GRAPH)(image)
    # One operator in every format, also in int8: a 1x1 convolution that exchanges channels.
    layer = keras.layers.Conv2D(3, 1, name=IN_GRAPH, trainable=False)
    output = layer(image)
    layer.set_weights([np.eye(3)[::-1].reshape(1, 1, 3, 3) * scale, np.broadcast_to(shift, 3)])
    return output


def outside_of(preprocessing: Preprocessing) -> Preprocessing:
    """What is left to do before a model that computes `normalized` itself."""
    return replace(preprocessing, scale=1.0, mean=(0.0,), std=(1.0,), color_order="rgb")
