"""Which layer an artifact gets wrong first."""

import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_bottleneck import runtime
from keras_bottleneck.export.formats import Format
from keras_bottleneck.export.source import Source
from keras_bottleneck.export.verify import Array

SAMPLES = 2


def first_divergent_layer(model: keras.Model, form: Format, inputs: Array) -> str | None:
    """The name of the first layer whose output the artifact gets wrong; None if there is none.

    Writes the network up to a layer as an artifact of its own, and bisects: about log2(layers)
    conversions.

    Args:
        model: The inference model that the artifact was written from.
        form: The artifact's format.
        inputs: Model inputs (N, height, width, channels); the first two are run.
    """
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    wrong: str | None = None
    low, high = 0, len(layers)
    while low < high:
        middle = (low + high) // 2
        if _diverges(model, layers[middle], form, inputs[:SAMPLES]):
            wrong, high = layers[middle].name, middle
        else:
            low = middle + 1
    return wrong


def _diverges(model: keras.Model, layer: keras.layers.Layer, form: Format, inputs: Array) -> bool:
    part = keras.Model(model.inputs[0], layer.output, name="part")
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / form.file_name.format(name=part.name)
        form.write(Source(part, "features", Path(scratch)), path)
        found = runtime.load(path).run(inputs)
    reference = [keras.ops.convert_to_numpy(part(inputs[i : i + 1])) for i in range(len(inputs))]
    return form.measure(found, np.concatenate(reference), "features") > form.tolerance
