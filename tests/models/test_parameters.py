"""Exact parameter counts: the published networks, not something near them."""

import math

import pytest

from keras_bottleneck import models
from keras_bottleneck.models import MobileNetV2, ResNet

WITHOUT_TOP = {
    "ResNet18": 11_186_112,
    "ResNet34": 21_301_696,
    "ResNet50": 23_561_152,
    "ResNet101": 42_605_504,
    "ResNet152": 58_295_232,
    "MobileNetV2": 2_257_984,
}
# torchvision's, which count no batch-norm statistics.
TRAINABLE_WITH_1000_CLASSES = {
    "ResNet18": 11_689_512,
    "ResNet34": 21_797_672,
    "ResNet50": 25_557_032,
    "ResNet101": 44_549_160,
    "ResNet152": 60_192_808,
    "MobileNetV2": 3_504_872,
}
# Option A, 10 classes (Idelbayev's and the paper's table 6).
CIFAR = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962}


def by_size(counts):
    deep = ("ResNet101", "ResNet152")
    marks = [pytest.mark.slow if name in deep else () for name in counts]
    return [
        pytest.param(*item, marks=mark, id=item[0])
        for item, mark in zip(counts.items(), marks, strict=True)
    ]


def trainable(model):
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


@pytest.mark.parametrize(("name", "count"), by_size(WITHOUT_TOP))
def test_without_top(name, count):
    assert getattr(models, name)(include_top=False).count_params() == count


@pytest.mark.parametrize(("name", "count"), by_size(TRAINABLE_WITH_1000_CLASSES))
def test_trainable_with_1000_classes(name, count):
    assert trainable(getattr(models, name)()) == count


def test_a_narrow_mobilenet():
    assert MobileNetV2(alpha=0.75, include_top=False).count_params() == 1_382_064


@pytest.mark.parametrize(
    ("depth", "count"),
    [pytest.param(*item, marks=pytest.mark.slow if item[0] > 32 else ()) for item in CIFAR.items()],
)
def test_cifar_networks(depth, count):
    blocks = ((depth - 2) // 6,) * 3
    model = ResNet("basic", blocks, filters=(16, 32, 64), stem="cifar", shortcut="pad", classes=10)
    assert trainable(model) == count


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        # torchvision: resnext50_32x4d and wide_resnet50_2.
        ({"groups": 32, "base_width": 4}, 25_028_904),
        ({"base_width": 128}, 68_883_240),
    ],
    ids=["resnext50_32x4d", "wide_resnet50_2"],
)
@pytest.mark.slow
def test_relatives_of_resnet50(arguments, count):
    assert trainable(models.ResNet50(**arguments)) == count
