"""Layers that do something in training alone."""

from typing import Any

import keras

# Layers that are the identity at inference. Converters stumble over the random ones.
TRAINING_ONLY = tuple(
    getattr(keras.layers, name)
    for name in (
        "ActivityRegularization",
        "AlphaDropout",
        "AugMix",
        "CutMix",
        "Dropout",
        "GaussianDropout",
        "GaussianNoise",
        "MixUp",
        "RandAugment",
        "RandomBrightness",
        "RandomColorDegeneration",
        "RandomColorJitter",
        "RandomContrast",
        "RandomElasticTransform",
        "RandomErasing",
        "RandomFlip",
        "RandomGaussianBlur",
        "RandomGrayscale",
        "RandomHue",
        "RandomInvert",
        "RandomPerspective",
        "RandomPosterization",
        "RandomRotation",
        "RandomSaturation",
        "RandomSharpness",
        "RandomShear",
        "RandomTranslation",
        "RandomZoom",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "SpatialDropout3D",
    )
    if hasattr(keras.layers, name)
)


def training_only(layer: Any) -> bool:
    """Whether `layer` is the identity at inference."""
    if isinstance(layer, keras.layers.Pipeline):
        return all(training_only(inner) for inner in layer.layers)
    return isinstance(layer, TRAINING_ONLY)
