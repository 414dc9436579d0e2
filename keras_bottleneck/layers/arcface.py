"""ArcFace: class scores from angles, with a margin that training has to earn."""

import math
from collections.abc import Sequence
from typing import Any, Unpack

import keras
from keras import ops

from keras_bottleneck import checks
from keras_bottleneck.layers.arguments import LayerArguments
from keras_bottleneck.layers.block import Shape

# Below every square of a float32 sine but zero: it keeps square roots from infinite slopes.
TINY = 1e-12


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class ArcFace(keras.layers.Layer):
    """The additive angular margin product (Deng et al. 2019, eq. 3).

    Scores are `scale * cos(theta)`, theta the angle between the embedding and the centre of a
    class. In training, `margin` is added to the angle of the true class, so that embeddings have
    to come nearer to their centre than they would for the score alone. Their lengths do not
    matter, and what is learnt tells classes apart that were never seen: `models.embedding_model`
    takes the trained network without this layer.

    The margin is that of the reference implementation (deepinsight/insightface): where
    `theta + margin` exceeds pi, and the cosine would rise again, the score is
    `cos(theta) - margin * sin(margin)` instead. Everything is computed in float32, whatever the
    precision of the network.

    Args:
        classes: Number of classes.
        margin: Added to the angle of the true class, in radians, from 0 to below pi / 2.
        scale: Factor of the cosines: the length of the embeddings, as it were.

    Input: embeddings `(..., features)`, or `[embeddings, labels]` with integer labels `(...)`
    or `(..., 1)`, from 0 to `classes` - 1. Labels are looked at while training only.

    Output shape: `(..., classes)`, logits.

    Raises:
        ValueError: For an argument out of range, or inputs that are neither of both.

    Example:
        >>> embedding, label = keras.Input((64,)), keras.Input((), dtype="int32")
        >>> ArcFace(10)([embedding, label]).shape
        (None, 10)
    """

    def __init__(
        self,
        classes: int,
        margin: float = 0.5,
        scale: float = 64.0,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        self.classes = checks.integer("classes", classes)
        self.margin = checks.number("margin", margin, 0.0, math.pi / 2, below=True)
        self.scale = checks.number("scale", scale, above=True)

    def build(self, input_shape: Any) -> None:
        """Make the centres of the classes, as columns."""
        shape = _embedding_shape(self, input_shape)
        # Normal, so that the directions are spread evenly; the lengths do not matter.
        self.centres = self.add_weight(
            shape=(shape[-1], self.classes),
            initializer=keras.initializers.VarianceScaling(1.0, "fan_in", "untruncated_normal"),
            # In full precision when the network around computes in half.
            autocast=False,
            name="centres",
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The scores of embeddings; while training, those of `[embeddings, labels]` with margin."""
        labelled = isinstance(inputs, (list, tuple))
        embeddings, labels = inputs if labelled else (inputs, None)
        cosine = ops.matmul(_unit(embeddings, -1), _unit(self.centres, 0))
        cosine = ops.clip(cosine, -1.0, 1.0)
        if labels is not None and training:
            labels = ops.reshape(ops.cast(labels, "int32"), ops.shape(cosine)[:-1])
            true = ops.one_hot(labels, self.classes, dtype="float32")
            cosine = cosine + true * (self._with_margin(cosine) - cosine)
        return self.scale * cosine

    def _with_margin(self, cosine: Any) -> Any:
        """cos(theta + margin), and beyond pi the straight line that goes on falling."""
        # As a product: 1 - cosine^2 would lose the last bits of a small sine.
        sine = ops.sqrt(ops.maximum((1.0 - cosine) * (1.0 + cosine), TINY))
        shifted = cosine * math.cos(self.margin) - sine * math.sin(self.margin)
        below_pi = cosine > math.cos(math.pi - self.margin)
        return ops.where(below_pi, shifted, cosine - self.margin * math.sin(self.margin))

    def compute_output_spec(self, inputs: Any, training: bool | None = None) -> keras.KerasTensor:
        """Scores in float32."""
        shape = keras.tree.map_structure(lambda x: x.shape, inputs)
        return keras.KerasTensor(self.compute_output_shape(shape), "float32")

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """The output's shape for inputs of `input_shape`."""
        return (*_embedding_shape(self, input_shape)[:-1], self.classes)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "classes": self.classes,
            "margin": self.margin,
            "scale": self.scale,
        }


def _unit(x: Any, axis: int) -> Any:
    """`x` in float32 with length 1 along `axis`; zeros stay zeros."""
    x = ops.cast(x, "float32")
    length = ops.sqrt(ops.maximum(ops.sum(ops.square(x), axis, keepdims=True), TINY))
    return x / length


def _embedding_shape(layer: ArcFace, input_shape: Any) -> Shape:
    """The shape of the embeddings among the inputs of `layer`."""
    several = isinstance(input_shape[0], Sequence)
    shape = input_shape[0] if several else input_shape
    if (several and len(input_shape) != 2) or len(shape) < 2 or shape[-1] is None:
        raise ValueError(
            f"`inputs` of ArcFace {layer.name!r} must be embeddings (..., features), or a list of "
            f"embeddings and labels. Received: inputs of shape {input_shape!r}"
        )
    return shape
