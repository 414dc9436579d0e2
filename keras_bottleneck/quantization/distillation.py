"""`distill`: train a quantized model to answer as the float one does."""

from typing import Any

import keras
from keras import ops

from keras_bottleneck import checks, keras_private
from keras_bottleneck.graph.flatten import flatten
from keras_bottleneck.graph.rebuild import functional
from keras_bottleneck.training.losses import SmoothedCrossentropy
from keras_bottleneck.training.outputs import class_count, output_layers, returns_logits

# Where float32 probabilities end: below lie denormal numbers, which some devices take for zero.
TINY = 1e-37


def distill(
    student: keras.Model,
    teacher: keras.Model,
    *,
    temperature: float = 1.0,
    weight: float = 1.0,
    learning_rate: float = 1e-5,
) -> "Distiller":
    """A compiled model whose `fit` trains `student` to answer as `teacher` does.

    `student` is trained in place and is what to keep, evaluate and save. `teacher` stays
    untouched: a frozen copy of it answers. The loss is the Kullback-Leibler divergence of the two
    answers; images are enough, labels are only read where `weight` is below 1.

    Args:
        student: A functional classifier that ends in a softmax or in logits, such as `quantize`
            returns.
        teacher: A classifier of the same inputs and classes, such as the one that was quantized.
        temperature: Above 1, small probabilities count for more: Hinton et al. 2015, section 2.
        weight: Part of the teacher in the loss, in [0, 1]; the rest is the cross-entropy of the
            labels.
        learning_rate: Of the Adam optimizer; for another one, or for metrics, `compile` again, or
            pass the result to `training.Recipe.fit`.

    Raises:
        ValueError: If a model is no classifier, both have other inputs or outputs, or a number is
            out of range.

    Example:
        >>> from keras_bottleneck import quantization  # doctest: +SKIP
        >>> quantized = quantization.quantize(model, images)  # doctest: +SKIP
        >>> quantization.distill(quantized, model).fit(images, epochs=1)  # doctest: +SKIP
    """
    distiller = Distiller(student, teacher, temperature, weight)
    rate = checks.number("learning_rate", learning_rate, above=True)
    distiller.compile(
        keras.optimizers.Adam(rate),
        loss=SmoothedCrossentropy(from_logits=returns_logits(distiller)) if weight < 1 else None,
    )
    return distiller


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class Distiller(keras.Model):
    """What `distill` returns: the layers of `student`, with the loss of a teacher.

    A softmax that is a layer of its own at the end of the student is left out, so that the model
    gives logits: an int8 softmax rounds what is below 1/512 to 0, where no gradient passes.

    `keras.distillation.Distiller` is not used: it leaves the teacher frozen, ignores sample
    weights, and its loss reads logits as probabilities (Keras 3.15).

    Args:
        student: As for `distill`.
        teacher: As for `distill`.
        temperature: As for `distill`.
        weight: As for `distill`.

    Raises:
        ValueError: As for `distill`.
    """

    def __init__(
        self,
        student: keras.Model,
        teacher: keras.Model,
        temperature: float = 1.0,
        weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        student, teacher = functional(student), functional(teacher)
        self._check(student, teacher)
        kwargs.setdefault("name", f"{student.name}_distiller")
        super().__init__(keras_private.input_structure(student), _logits(student), **kwargs)
        self.temperature = checks.number("temperature", temperature, above=True)
        self.weight = checks.number("weight", weight, maximum=1.0)
        self.student = student
        self.teacher = flatten(teacher)
        self.teacher.trainable = False
        self._divergence = Divergence()

    @staticmethod
    def _check(student: keras.Model, teacher: keras.Model) -> None:
        returns_logits(teacher)
        returns_logits(student)
        for what, own, others in (
            ("classes", class_count(student), class_count(teacher)),
            ("inputs", *([tuple(x.shape[1:]) for x in m.inputs] for m in (student, teacher))),
        ):
            if own != others:
                raise ValueError(
                    f"`teacher` must have the {what} of `student`, {own}. Received: {others}"
                )

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The divergence from the teacher's answers, and the compiled loss of the labels."""
        images = keras_private.as_taken(self.teacher, x)
        answers = self._log_probabilities(self.teacher(images, training=False), self.teacher)
        own = self._log_probabilities(y_pred, self)
        # Gradients shrink with the square of the temperature.
        loss = self.temperature**2 * self._divergence(answers, own, sample_weight)
        if self.weight == 1.0:
            return loss
        if y is None:
            raise ValueError(
                "`weight` must be 1 where there are no labels. Received: "
                f"weight={self.weight} and images alone"
            )
        labels = super().compute_loss(x, y, y_pred, sample_weight, training)
        return self.weight * loss + (1.0 - self.weight) * labels

    def _log_probabilities(self, outputs: Any, model: keras.Model) -> Any:
        outputs = ops.cast(outputs, "float32")
        logits = outputs if returns_logits(model) else ops.log(ops.maximum(outputs, TINY))
        return ops.log_softmax(logits / self.temperature)

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "student": keras.saving.serialize_keras_object(self.student),
            "teacher": keras.saving.serialize_keras_object(self.teacher),
            "temperature": self.temperature,
            "weight": self.weight,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Distiller":
        models = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects)
            for name in ("student", "teacher")
        }
        return cls(**{**config, **models})


class Divergence(keras.losses.Loss):
    """Kullback-Leibler's, between logarithms of probabilities: (batch, classes)."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.sum(ops.exp(y_true) * (y_true - y_pred), axis=-1)


def _logits(model: keras.Model) -> Any:
    """What a final softmax layer of `model` reads; the output itself, where there is none."""
    tensor = model.outputs[0]
    for layer in output_layers(model):
        source = keras_private.made_of(tensor)
        if _is_softmax(layer):
            return source[0]
        tensor = source[0]
    return model.outputs[0]


def _is_softmax(layer: keras.layers.Layer) -> bool:
    if isinstance(layer, keras.layers.Activation):
        return layer.activation is keras.activations.softmax
    return isinstance(layer, keras.layers.Softmax)
