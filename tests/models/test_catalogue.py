"""The networks by name: their figures are those of what is built."""

import math

import pytest

import keras_bottleneck as kb
from keras_bottleneck.models import NETWORKS, catalogue

QUICK = ("ResNet18", "ResNet20", "MobileNetV2", "CSPDarknet")


@pytest.mark.parametrize("name", QUICK)
def test_parameters_are_those_of_the_network(name):
    row = NETWORKS[name]
    side = row.image_size
    model = row.build(input_shape=(side, side, 3))
    sizes = [math.prod(one.shape) for one in model.trainable_variables]
    assert sum(sizes) == row.parameters


def test_every_builder_is_there_under_its_own_name():
    assert set(NETWORKS) == {*kb.models.VARIANTS, "MobileNetV2", "CSPDarknet"}
    for name, row in NETWORKS.items():
        assert row.build is getattr(kb, name)
        known = [one.name for one in kb.weights.CHECKPOINTS if one.model == name]
        assert list(row.checkpoints) == (["imagenet", *known] if known else [])


def test_small_images_are_those_of_ten_classes():
    for name, variant in kb.models.VARIANTS.items():
        assert NETWORKS[name].image_size == (32 if variant.classes == 10 else 224)


def test_the_table_has_a_row_for_each():
    printed = str(catalogue())
    for name, row in NETWORKS.items():
        assert name in printed
        assert f"{row.parameters:,}" in printed
        for one in row.published[:1]:
            assert f"{one.name} {one.top1:.1f}%" in printed
    assert "21 of other widths, sizes" in printed
