"""Which layer an artifact gets wrong first."""

import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_bottleneck import keras_private, runtime
from keras_bottleneck.evaluation.answers import Array
from keras_bottleneck.export.formats import Format
from keras_bottleneck.export.source import Source
from keras_bottleneck.quantization.quantizers import FakeQuantize, is_quantized

SAMPLES = 2


def first_divergent_layer(source: Source, form: Format, inputs: Array) -> str | None:
    """The user's name of the first layer whose output the artifact gets wrong; None without one.

    Writes the network up to a layer as an artifact of its own, and bisects: about log2(layers)
    conversions.

    Args:
        source: What the artifact was written from.
        form: The artifact's format.
        inputs: Model inputs (N, height, width, channels); the first two are run.
    """
    model = source.model
    calls = list(keras_private.calls(model))
    if is_quantized(model):
        # What is between two quantizers has no tensor of its own in the artifact.
        calls = [call for call in calls if isinstance(call.operation, FakeQuantize)]
    wrong: str | None = None
    low, high = 0, len(calls)
    while low < high:
        middle = (low + high) // 2
        if _diverges(source, calls[middle].outputs[0], form, inputs[:SAMPLES]):
            wrong, high = source.user_name(calls[middle].operation), middle
        else:
            low = middle + 1
    return wrong


def _diverges(whole: Source, tensor: Any, form: Format, inputs: Array) -> bool:
    part = keras.Model(whole.model.inputs[0], tensor, name="part")
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / form.file_name.format(name=part.name)
        source = Source(
            part, "features", Path(scratch), calibration=whole.calibration, names=whole.names
        )
        form.write(source, path)
        outputs = runtime.load(path, trusted=True).run(inputs)
    reference = [keras.ops.convert_to_numpy(part(inputs[i : i + 1])) for i in range(len(inputs))]
    return form.measure(outputs, np.concatenate(reference), "features") > form.tolerance
