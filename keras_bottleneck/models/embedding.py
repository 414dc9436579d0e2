"""A network trained with ArcFace, without its last layer: from images to embeddings."""

import keras

from keras_bottleneck import checks, keras_private
from keras_bottleneck.image_model import carrying, model_preprocessing
from keras_bottleneck.layers import ArcFace
from keras_bottleneck.models.assembly import checked_name


def embedding_model(model: keras.Model, name: str | None = None) -> keras.Model:
    """The network up to its ArcFace layer, its embeddings brought to length 1.

    The cosine between two images is then the dot product of their embeddings: the features that
    an exported model computes and a device compares.

    Args:
        model: A functional model that was trained with one `layers.ArcFace`; the new model
            shares its layers and weights, and does without its labels.
        name: Name of the model; by default that of `model` with `_embedding`.

    Returns:
        A functional model from what `model` takes, without the labels, to
        `(batch, ..., features)`.

    Raises:
        ValueError: If `model` has no ArcFace layer or several, or an argument is wrong.

    Example:
        >>> from keras_bottleneck.layers import ArcFace
        >>> from keras_bottleneck.models import ResNet18
        >>> network = ResNet18(include_top=False, pooling="avg")
        >>> label = keras.Input((), dtype="int32")
        >>> trained = keras.Model([network.input, label], ArcFace(10)([network.output, label]))
        >>> embedding_model(trained).output_shape
        (None, 512)
    """
    if isinstance(model, keras.Sequential) or not getattr(model, "inputs", None):
        raise checks.reject("model", model, "a functional Keras model")
    heads = [call for call in keras_private.calls(model) if isinstance(call.operation, ArcFace)]
    if len(heads) != 1:
        accepted = f"a model with one ArcFace layer (this one has {len(heads)})"
        raise checks.reject("model", model.name, accepted)
    name = checked_name(f"{model.name}_embedding" if name is None else name)
    embedding = heads[0].inputs[0]
    # Half precision is a way to train, not to compare.
    unit = keras.layers.UnitNormalization(name="embedding", dtype="float32")(embedding)
    sources = keras.utils.get_source_inputs(embedding)
    # A list of one would make Keras warn at every call with a plain tensor.
    embedded = keras.Model(sources[0] if len(sources) == 1 else sources, unit, name=name)
    return carrying(embedded, model_preprocessing(embedded))
