"""What a residual network is made of: Keras layers that plug into any model, on any backend."""

from keras_bottleneck.layers.arcface import ArcFace
from keras_bottleneck.layers.asymmetric_conv import AsymmetricConv2D
from keras_bottleneck.layers.basic_block import BasicBlock
from keras_bottleneck.layers.block import Block
from keras_bottleneck.layers.blur_pool import BlurPool
from keras_bottleneck.layers.bottleneck import Bottleneck
from keras_bottleneck.layers.conv_norm_act import ConvNormAct
from keras_bottleneck.layers.conv_pair import (
    ConvPair,
    FactorizedConvNormAct,
    SeparableConvNormAct,
)
from keras_bottleneck.layers.crop_like import CropLike
from keras_bottleneck.layers.csp_layer import CSPLayer
from keras_bottleneck.layers.darknet_bottleneck import DarknetBottleneck
from keras_bottleneck.layers.drop_path import DropPath
from keras_bottleneck.layers.inverted_residual import InvertedResidual
from keras_bottleneck.layers.normalization import BatchNormalization
from keras_bottleneck.layers.parallel_branches import ParallelBranches
from keras_bottleneck.layers.preactivation import (
    PreactivationBasicBlock,
    PreactivationBottleneck,
)
from keras_bottleneck.layers.remat import Remat
from keras_bottleneck.layers.repvgg_block import RepVGGBlock
from keras_bottleneck.layers.residual import Residual
from keras_bottleneck.layers.residual_block import ResidualBlock
from keras_bottleneck.layers.squeeze_excite import SqueezeExcite

__all__ = [
    "ArcFace",
    "AsymmetricConv2D",
    "BasicBlock",
    "BatchNormalization",
    "Block",
    "BlurPool",
    "Bottleneck",
    "CSPLayer",
    "ConvNormAct",
    "ConvPair",
    "CropLike",
    "DarknetBottleneck",
    "DropPath",
    "FactorizedConvNormAct",
    "InvertedResidual",
    "ParallelBranches",
    "PreactivationBasicBlock",
    "PreactivationBottleneck",
    "Remat",
    "RepVGGBlock",
    "Residual",
    "ResidualBlock",
    "SeparableConvNormAct",
    "SqueezeExcite",
]
