"""What a residual network is made of: Keras layers that plug into any model, on any backend."""

from keras_bottleneck.layers.arcface import ArcFace
from keras_bottleneck.layers.basic_block import BasicBlock
from keras_bottleneck.layers.block import Block
from keras_bottleneck.layers.blur_pool import BlurPool
from keras_bottleneck.layers.bottleneck import Bottleneck
from keras_bottleneck.layers.conv_norm_act import ConvNormAct
from keras_bottleneck.layers.crop_like import CropLike
from keras_bottleneck.layers.drop_path import DropPath
from keras_bottleneck.layers.inverted_residual import InvertedResidual
from keras_bottleneck.layers.normalization import BatchNormalization
from keras_bottleneck.layers.preactivation import (
    PreactivationBasicBlock,
    PreactivationBottleneck,
)
from keras_bottleneck.layers.remat import Remat
from keras_bottleneck.layers.residual import Residual
from keras_bottleneck.layers.residual_block import ResidualBlock
from keras_bottleneck.layers.squeeze_excite import SqueezeExcite

__all__ = [
    "ArcFace",
    "BasicBlock",
    "BatchNormalization",
    "Block",
    "BlurPool",
    "Bottleneck",
    "ConvNormAct",
    "CropLike",
    "DropPath",
    "InvertedResidual",
    "PreactivationBasicBlock",
    "PreactivationBottleneck",
    "Remat",
    "Residual",
    "ResidualBlock",
    "SqueezeExcite",
]
