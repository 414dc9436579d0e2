"""What every builder does before and after its stages: input, preprocessing, head."""

from typing import Any, NamedTuple

import keras

from keras_bottleneck import checks, naming
from keras_bottleneck.image_model import ImageModel, normalized, outside_of
from keras_bottleneck.layers import activation as activations
from keras_bottleneck.preprocessing import Preprocessing


class Interface(NamedTuple):
    """The arguments that all builders share, checked."""

    include_top: bool
    pooling: str | None
    classes: int
    classifier_activation: activations.Activation
    preprocessing: Preprocessing | None
    include_preprocessing: bool


def interface(
    include_top: Any,
    pooling: Any,
    classes: Any,
    classifier_activation: Any,
    preprocessing: Any,
    include_preprocessing: Any,
) -> Interface:
    """The shared arguments, checked before anything is built.

    Raises:
        ValueError: For the first argument that is wrong.
    """
    if preprocessing is not None and not isinstance(preprocessing, Preprocessing):
        raise checks.reject("preprocessing", preprocessing, "a Preprocessing or None")
    if checks.boolean("include_preprocessing", include_preprocessing) and preprocessing is None:
        raise checks.reject("include_preprocessing", True, "False where `preprocessing` is None")
    return Interface(
        checks.boolean("include_top", include_top),
        checks.one_of("pooling", pooling, (None, "avg", "max")),
        checks.integer("classes", classes),
        activations.check(classifier_activation, "classifier_activation"),
        preprocessing,
        include_preprocessing,
    )


def image_input(
    input_tensor: Any, input_shape: Any, default_shape: tuple[int | None, ...]
) -> keras.KerasTensor:
    """The tensor that the stem reads: `input_tensor`, or a new input of `input_shape`.

    Raises:
        ValueError: If the shape is not (height, width, channels) with known channels, or the
            two arguments disagree.
    """
    if input_shape is not None:
        input_shape = checked_shape(input_shape)
    if input_tensor is None:
        return keras.Input(input_shape or default_shape, name="image")
    if not isinstance(input_tensor, keras.KerasTensor):
        raise checks.reject("input_tensor", input_tensor, "a Keras tensor or None")
    given = checked_shape(input_tensor.shape[1:], "input_tensor")
    if input_shape is not None and input_shape != given:
        raise checks.reject("input_shape", input_shape, f"{given!r}, the shape of `input_tensor`")
    return input_tensor


def checked_shape(shape: Any, name: str = "input_shape") -> tuple[int | None, ...]:
    """(height, width, channels), if `shape` is that.

    Raises:
        ValueError: If it is not; the message calls it `name`.
    """
    accepted = "(height, width, channels), positive integers or None for height and width"
    if not isinstance(shape, (tuple, list)) or len(shape) != 3 or shape[2] is None:
        raise checks.reject(name, shape, accepted)
    try:
        return tuple(None if side is None else checks.integer(name, side) for side in shape)
    except ValueError:
        raise checks.reject(name, shape, accepted) from None


def shape_of_images(input_tensor: Any, input_shape: Any) -> Any:
    """The shape of the model's images as the caller gives it; None where it is not given."""
    return input_shape if input_tensor is None else getattr(input_tensor, "shape", ())[1:]


def with_head(x: keras.KerasTensor, head: Interface) -> keras.KerasTensor:
    """Global pooling and the classifier, or the pooling asked for, on the last feature map."""
    if head.include_top:
        x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
        return _classifier(x, head)
    if head.pooling == "avg":
        return keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
    if head.pooling == "max":
        return keras.layers.GlobalMaxPooling2D(name="max_pool")(x)
    return x


def _classifier(x: keras.KerasTensor, head: Interface) -> keras.KerasTensor:
    # A softmax over half-precision logits loses the small probabilities.
    dense = keras.layers.Dense(
        head.classes, activation=head.classifier_activation, name=naming.CLASSIFIER, dtype="float32"
    )
    return dense(x)


def prepared(image: keras.KerasTensor, head: Interface) -> keras.KerasTensor:
    """What the stem reads: `image`, or its pixels normalized where that is part of the model.

    Raises:
        ValueError: If the preprocessing makes images of another shape.
    """
    if head.preprocessing is None:
        return image
    prepared, taken = head.preprocessing.input_shape, tuple(image.shape[1:])
    if any(side not in (None, own) for side, own in zip(taken, prepared, strict=True)):
        accepted = f"one for the model's input shape {taken}"
        raise checks.reject("preprocessing", head.preprocessing, accepted)
    return normalized(image, head.preprocessing) if head.include_preprocessing else image


def model_of(
    input_tensor: Any, x: keras.KerasTensor, y: keras.KerasTensor, name: str, head: Interface
) -> ImageModel:
    """The model from the sources of `x` to `y`, with the preprocessing asked for."""
    checked_name(name)
    sources = [x] if input_tensor is None else keras.utils.get_source_inputs(input_tensor)
    # A list of one would make Keras warn at every call with a plain tensor.
    model = ImageModel(sources[0] if len(sources) == 1 else sources, y, name=name)
    model.preprocessing = head.preprocessing
    if head.preprocessing is not None and head.include_preprocessing:
        model.preprocessing = outside_of(head.preprocessing)
    return model


def checked_name(name: Any) -> str:
    """`name`, if it can be that of a model.

    Raises:
        ValueError: If it is no string, or empty.
    """
    if not isinstance(name, str) or not name:
        raise checks.reject("name", name, "a non-empty string")
    return name


def linear_rates(last: float, blocks: int) -> list[float]:
    """Drop-path rates of `blocks` blocks, from 0 to `last` (Huang et al. 2016, eq. 4)."""
    return [last * index / max(blocks - 1, 1) for index in range(blocks)]
