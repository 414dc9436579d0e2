"""Builders of whole networks, with the argument list of `keras.applications`."""

from keras_bottleneck.models.features import Feature, feature_info, feature_pyramid
from keras_bottleneck.models.mobilenet_v2 import MobileNetV2
from keras_bottleneck.models.resnet import (
    ResNet,
    ResNet18,
    ResNet34,
    ResNet50,
    ResNet101,
    ResNet152,
)

__all__ = [
    "Feature",
    "MobileNetV2",
    "ResNet",
    "ResNet18",
    "ResNet34",
    "ResNet50",
    "ResNet101",
    "ResNet152",
    "feature_info",
    "feature_pyramid",
]
