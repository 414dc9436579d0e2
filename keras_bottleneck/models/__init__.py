"""Builders of whole networks, with the argument list of `keras.applications`."""

from keras_bottleneck.models.csp_darknet import CSPDarknet
from keras_bottleneck.models.embedding import embedding_model
from keras_bottleneck.models.features import Feature, feature_info, feature_pyramid
from keras_bottleneck.models.fpn import FPN
from keras_bottleneck.models.mobilenet_v2 import MobileNetV2
from keras_bottleneck.models.resnet import ResNet
from keras_bottleneck.models.resunet import ResUNet
from keras_bottleneck.models.variants import (
    VARIANTS,
    CIFARResNet,
    ResNet18,
    ResNet20,
    ResNet32,
    ResNet34,
    ResNet44,
    ResNet50,
    ResNet50D,
    ResNet50V2,
    ResNet56,
    ResNet101,
    ResNet101V2,
    ResNet110,
    ResNet152,
    ResNet152V2,
    ResNet1202,
    ResNeXt50_32x4d,
    ResNeXt101_32x8d,
    ResNeXt101_64x4d,
    SEResNet50,
    Variant,
    WideResNet50_2,
    WideResNet101_2,
)
from keras_bottleneck.networks import NETWORKS, Catalogue, Network, catalogue

__all__ = [
    "CIFARResNet",
    "CSPDarknet",
    "Catalogue",
    "FPN",
    "Feature",
    "MobileNetV2",
    "NETWORKS",
    "Network",
    "ResNeXt101_32x8d",
    "ResNeXt101_64x4d",
    "ResNeXt50_32x4d",
    "ResNet",
    "ResNet101",
    "ResNet101V2",
    "ResNet110",
    "ResNet1202",
    "ResNet152",
    "ResNet152V2",
    "ResNet18",
    "ResNet20",
    "ResNet32",
    "ResNet34",
    "ResNet44",
    "ResNet50",
    "ResNet50D",
    "ResNet50V2",
    "ResNet56",
    "ResUNet",
    "SEResNet50",
    "VARIANTS",
    "Variant",
    "WideResNet101_2",
    "WideResNet50_2",
    "catalogue",
    "embedding_model",
    "feature_info",
    "feature_pyramid",
]
