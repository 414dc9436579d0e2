"""Exact parameter counts: the published networks, not something near them."""

import math

import pytest

from keras_bottleneck import models
from keras_bottleneck.models import CSPDarknet, MobileNetV2

WITHOUT_TOP = {
    "ResNet18": 11_186_112,
    "ResNet34": 21_301_696,
    "ResNet50": 23_561_152,
    "ResNet101": 42_605_504,
    "ResNet152": 58_295_232,
    "MobileNetV2": 2_257_984,
}
# Torchvision's, which count no batch-norm statistics. That the builders of the larger ones keep to
# their rows, tests/test_readme.py sees when it counts their operations.
TRAINABLE_WITH_1000_CLASSES = {
    "ResNet18": 11_689_512,
    "ResNet34": 21_797_672,
    "ResNet50": 25_557_032,
    "ResNet101": 44_549_160,
    "ResNet152": 60_192_808,
    "ResNeXt50_32x4d": 25_028_904,
    "ResNeXt101_32x8d": 88_791_336,
    "ResNeXt101_64x4d": 83_455_272,
    "WideResNet50_2": 68_883_240,
    "WideResNet101_2": 126_886_696,
    "MobileNetV2": 3_504_872,
    # timm's: resnetv2_*, resnet50d, seresnet50.
    "ResNet50V2": 25_549_352,
    "ResNet101V2": 44_541_480,
    "ResNet152V2": 60_185_128,
    "ResNet50D": 25_576_264,
    "SEResNet50": 28_088_024,
}
# Option A, 10 classes (Idelbayev's and the paper's table 6); 1202 has a test of its own.
CIFAR = {
    "ResNet20": 269_722,
    "ResNet32": 464_154,
    "ResNet44": 658_586,
    "ResNet56": 853_018,
    "ResNet110": 1_727_962,
}
QUICK = ("ResNet18", "ResNet50V2", "MobileNetV2", "ResNet20")


def small(counts):
    return [item for item in counts.items() if item[0] in QUICK]


def trainable(model):
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), WITHOUT_TOP.items())
def test_without_top(name, count):
    assert getattr(models, name)(include_top=False).count_params() == count


@pytest.mark.parametrize(("name", "count"), small(TRAINABLE_WITH_1000_CLASSES))
def test_trainable_with_1000_classes(name, count):
    assert trainable(getattr(models, name)()) == count


def test_a_narrow_mobilenet():
    assert MobileNetV2(alpha=0.75, include_top=False).count_params() == 1_382_064


@pytest.mark.parametrize(("name", "count"), small(CIFAR))
def test_cifar_networks(name, count):
    assert trainable(getattr(models, name)()) == count


def test_the_rows_state_the_counts_that_are_tested_here():
    stated = {name: row.parameters for name, row in models.VARIANTS.items()}
    tested = {**TRAINABLE_WITH_1000_CLASSES, **CIFAR, "ResNet1202": 19_421_274}
    assert stated == {name: count for name, count in tested.items() if name != "MobileNetV2"}


@pytest.mark.parametrize(
    ("width", "depth", "count"),
    [
        # The rows of the summaries that YOLOv5n and YOLOv5s print, up to the last C3.
        (0.25, 0.33, 881_760),
        (0.5, 0.33, 3_514_560),
    ],
)
def test_csp_darknet(width, depth, count):
    assert trainable(CSPDarknet(include_top=False, width=width, depth=depth)) == count
