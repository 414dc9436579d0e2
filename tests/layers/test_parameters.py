"""Exact parameter counts of blocks: those of the papers' own implementations."""

import math

import keras
import pytest

from keras_bottleneck import layers
from keras_bottleneck.graph import fold


def trainable(layer):
    return sum(math.prod(variable.shape) for variable in layer.trainable_variables)


def test_asymmetric_conv():
    """9 + 3 + 3 weights for each pair of channels, and three batch norms."""
    block = layers.AsymmetricConv2D(32)
    block.build((None, 8, 8, 16))
    assert trainable(block) == 15 * 16 * 32 + 3 * 2 * 32


def repvgg_a0():
    """RepVGG-A0 (Ding et al. 2021, tables 2 and 3), at 64 pixels."""
    x = image = keras.Input((64, 64, 3))
    for filters, blocks in ((48, 1), (48, 2), (96, 4), (192, 14), (1280, 1)):
        for index in range(blocks):
            x = layers.RepVGGBlock(filters, 2 if index == 0 else 1)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(1000)(x))


@pytest.mark.slow
@pytest.mark.full
def test_repvgg_a0():
    model = repvgg_a0()
    # 9.11 million in timm's table as it trains, 8.31 million of RepVGG's once merged.
    assert trainable(model) == 9_108_968
    folded = fold(model)
    assert trainable(folded) == 8_309_384
    assert sum(type(layer) is keras.layers.Conv2D for layer in folded.layers) == 22


@pytest.mark.parametrize(
    ("filters", "blocks", "count"),
    [(64, 1, 18_816), (128, 2, 115_712), (256, 3, 625_152), (512, 1, 1_182_720)],
)
def test_csp_layer(filters, blocks, count):
    """The rows `C3` of the summary that YOLOv5s prints."""
    block = layers.CSPLayer(filters, blocks)
    block.build((None, 8, 8, filters))
    assert trainable(block) == count


def test_darknet_bottleneck():
    """Darknet-53's last: 1x1 to 512 channels, 3x3 to 1,024, two batch norms."""
    block = layers.DarknetBottleneck(1024)
    block.build((None, 8, 8, 1024))
    assert trainable(block) == 1024 * 512 + 9 * 512 * 1024 + 2 * 512 + 2 * 1024


@pytest.mark.parametrize(
    ("conv", "count"),
    [
        # Of two 3x3 convolutions of 64 channels, the biases of batch norm included.
        ("standard", 2 * (9 * 64 * 64 + 2 * 64)),
        ("separable", 2 * (9 * 64 + 64 * 64 + 4 * 64)),
        ("factorized", 2 * (6 * 64 * 64 + 4 * 64)),
        ("asymmetric", 2 * (15 * 64 * 64 + 6 * 64)),
    ],
)
def test_forms_of_the_3x3_convolution(conv, count):
    block = layers.BasicBlock(64, conv=conv)
    block.build((None, 8, 8, 64))
    assert trainable(block) == count
