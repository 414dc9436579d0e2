"""The classic comparison of blocks, from the layers of this package."""

import json

import pytest

from keras_bottleneck.analysis import compare_blocks


@pytest.fixture(scope="module")
def classic():
    return compare_blocks(256, (56, 28), expansion=4)


@pytest.mark.parametrize(
    ("block", "weights"),
    [
        ("two 3x3", 2 * 9 * 256 * 256),
        ("bottleneck", 256 * 64 + 9 * 64 * 64 + 64 * 256),
        ("single 3x3", 9 * 256 * 256),
        ("inverted residual", 256 * 1024 + 9 * 1024 + 1024 * 256),
    ],
)
def test_weights_and_macs(classic, block, weights):
    found = classic[block]
    assert found.weights == weights
    # Without strides, each weight is used once for each pixel.
    assert found.macs == 56 * 28 * weights
    assert found.share == weights / 1_179_648


def test_the_figures_that_are_quoted(classic):
    assert [one.weights for one in classic.blocks[:3]] == [1_179_648, 69_632, 589_824]
    assert f"{classic['bottleneck'].share:.1%}" == "5.9%"
    parts = dict(classic["inverted residual"].parts)
    assert parts["depthwise_conv"] == 9_216
    assert sum(parts.values()) == classic["inverted residual"].weights == 533_504


def test_an_inverted_residual_is_wide_inside(classic):
    pixels = 56 * 28
    # The input stays for the sum, while the depthwise convolution reads and writes 4 times as much.
    assert classic["inverted residual"].peak == pixels * 256 * (1 + 4 + 4)
    assert classic["two 3x3"].peak == pixels * 256 * 3


def test_one_size_stands_for_both_sides_and_six_is_the_expansion_of_the_paper():
    found = compare_blocks(16, 8)
    assert found.size == (8, 8)
    assert found["inverted residual"].weights == 2 * 6 * 16 * 16 + 9 * 96


def test_json_and_table(classic):
    found = json.loads(json.dumps(classic.to_dict()))
    assert found["blocks"][1]["weights"] == 69_632
    assert found["blocks"][1]["parts"][1] == ["spatial_conv", 36_864]
    text = str(classic)
    assert "1,179,648" in text
    assert "5.9%" in text
    with pytest.raises(KeyError, match="this comparison has two 3x3, bottleneck"):
        classic["darknet"]


@pytest.mark.parametrize(
    ("argument", "arguments"),
    [
        ("channels", (6,)),
        ("channels", (0,)),
        ("channels", (256.0,)),
        ("size", (8, 0)),
        ("size", (8, (1, 2, 3))),
        ("expansion", (8, 8, 0)),
    ],
)
def test_wrong_arguments(argument, arguments):
    channels, size, expansion = (*arguments, *(8, 6)[len(arguments) - 1 :])
    with pytest.raises(ValueError, match=rf"^`{argument}` must be .*Received: "):
        compare_blocks(channels, size, expansion=expansion)
