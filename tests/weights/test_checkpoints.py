"""The table of checkpoints agrees with itself, with the builders and with its sources."""

import dataclasses
import hashlib
import math
import re
import sys
from functools import cache
from pathlib import PurePosixPath

import pytest

from keras_bottleneck import models
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.weights.checkpoints import CHECKPOINTS, find, names
from keras_bottleneck.weights.download import DownloadError, Hash

from . import server as servers

TORCHVISION = [row for row in CHECKPOINTS if row.layout == "torchvision"]
KERAS = [row for row in CHECKPOINTS if row.layout == "keras.applications"]

# `num_params` in torchvision's rows, which count no batch-norm statistics.
PARAMETERS = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnext50_32x4d": 25_028_904,
    "resnext101_32x8d": 88_791_336,
    "resnext101_64x4d": 83_455_272,
    "wide_resnet50_2": 68_883_240,
    "wide_resnet101_2": 126_886_696,
    "mobilenet_v2": 3_504_872,
}
# The others are slow to build, and `tests/models` counts most of them.
SMALL = ("resnet18", "mobilenet_v2")
# Of these CI builds none.
LARGE = ("101", "152", "wide")


def label(row):
    return f"{row.model}-{row.name}"


def network(row):
    """torchvision's name of the network that a file of torchvision holds."""
    return PurePosixPath(row.url).stem.rpartition("-")[0]


def by_size(rows):
    def marks(row):
        if network(row) in SMALL:
            return []
        large = any(part in network(row) for part in LARGE)
        return [pytest.mark.slow, *([pytest.mark.full] if large else [])]

    return [pytest.param(row, marks=marks(row), id=label(row)) for row in rows]


@cache
def trainable(model, architecture):
    built = getattr(models, model)(**dict(architecture))
    return sum(math.prod(variable.shape) for variable in built.trainable_variables)


@pytest.mark.parametrize("row", CHECKPOINTS, ids=label)
@pytest.mark.full
def test_a_row_is_complete(row):
    assert row.url.startswith("https://")
    assert Hash.parse(row.hash)
    assert 60 < row.top1 < 90
    assert isinstance(row.preprocessing, Preprocessing)
    assert row.preprocessing.input_shape == (224, 224, 3)
    assert row.sources
    assert all(page.startswith("https://") for page in row.sources)
    assert find(row.model, row.name) is row


def test_rows_are_different():
    assert len({(row.model, row.name) for row in CHECKPOINTS}) == len(CHECKPOINTS)
    assert len({row.url for row in CHECKPOINTS}) == len(CHECKPOINTS)
    assert len({row.hash for row in CHECKPOINTS}) == len(CHECKPOINTS)


@pytest.mark.parametrize("row", TORCHVISION, ids=label)
@pytest.mark.full
def test_a_torchvision_file_is_named_after_its_hash(row):
    stem = re.fullmatch(r"https://download\.pytorch\.org/models/([\w-]+)\.pth", row.url)[1]
    assert row.hash == f"sha256:{stem.rpartition('-')[2]}"
    assert network(row) in PARAMETERS


@pytest.mark.parametrize("row", TORCHVISION, ids=label)
@pytest.mark.full
def test_the_images_of_torchvision(row):
    resized, _ = row.preprocessing.geometry(480, 480)
    newer = row.name.endswith("_v2") or row.model == "ResNeXt101_64x4d"
    assert resized == ((232, 232) if newer else (256, 256))


@pytest.mark.slow
@pytest.mark.parametrize("row", by_size(TORCHVISION))
@pytest.mark.full
def test_the_builder_makes_the_network_of_torchvision(row):
    found = trainable(row.model, tuple(row.architecture.items()))
    assert found == PARAMETERS[network(row)]


@pytest.fixture(scope="module")
def torchvision():
    try:
        import torchvision
    except (ImportError, RuntimeError) as error:  # RuntimeError: it was made for another torch
        pytest.skip(f"torchvision cannot be imported: {error}")
    return torchvision


@pytest.mark.parametrize("row", TORCHVISION, ids=label)
def test_torchvision_says_the_same(row, torchvision):
    weights = [
        one for one in torchvision.models.get_model_weights(network(row)) if one.url == row.url
    ]
    (theirs,) = weights
    assert row.top1 == theirs.meta["_metrics"]["ImageNet-1K"]["acc@1"]
    assert PARAMETERS[network(row)] == theirs.meta["num_params"]
    images = theirs.transforms()
    resized, _ = row.preprocessing.geometry(480, 480)
    assert [*resized] == images.resize_size * 2
    assert [*row.preprocessing.image_size] == images.crop_size * 2
    assert row.preprocessing.mean == tuple(images.mean)
    assert row.preprocessing.std == tuple(images.std)
    assert images.interpolation.value == "bilinear"


@pytest.mark.parametrize("row", KERAS, ids=label)
def test_keras_says_the_same(row):
    from keras.src.applications import resnet

    file = row.url.removeprefix(resnet.BASE_WEIGHTS_PATH)
    assert file == f"{row.model.lower()}_weights_tf_dim_ordering_tf_kernels.h5"
    assert row.hash == f"md5:{resnet.WEIGHTS_HASHES[row.model.lower()][0]}"


def test_the_builders_take_the_arguments_of_keras():
    for row in KERAS:
        arguments = {**row.architecture, "include_top": False, "input_shape": (32, 32, 3)}
        small = {"depths": (1,), "filters": (8,)}
        assert models.ResNet(**small, **arguments).output_shape == (None, 8, 8, 32)


def test_every_builder_with_rows_has_imagenet():
    assert {row.model for row in CHECKPOINTS} == {
        "MobileNetV2",
        "ResNet101",
        "ResNet152",
        "ResNet18",
        "ResNet34",
        "ResNet50",
        "ResNeXt101_32x8d",
        "ResNeXt101_64x4d",
        "ResNeXt50_32x4d",
        "WideResNet101_2",
        "WideResNet50_2",
    }
    for row in CHECKPOINTS:
        assert names(row.model)[0] == "imagenet"
        assert find(row.model) is find(row.model, "imagenet")


def test_a_wrong_name_lists_those_that_there_are():
    with pytest.raises(ValueError, match=r"^`name` must be one of 'imagenet', 'imagenet_v2' \(did"):
        find("MobileNetV2", "imagnet")
    with pytest.raises(ValueError, match=r"^`model` must be one of 'ResNet18', .*'MobileNetV2' \("):
        find("Resnet50")
    with pytest.raises(ValueError, match="^`model` must be one of .* Received: model=None"):
        names(None)


def test_a_row_fetches_its_file(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    content = b"weights"
    with servers.serving(content) as server:
        row = dataclasses.replace(
            CHECKPOINTS[0],
            url=server.url("well", "small.pth"),
            hash=f"sha256:{hashlib.sha256(content).hexdigest()[:8]}",
        )
        assert row.download(tmp_path) == tmp_path / "small.pth"
        wrong = dataclasses.replace(row, hash="sha256:01234567")
        with pytest.raises(DownloadError, match="has the wrong hash"):
            wrong.download(tmp_path)


def test_a_row_may_be_on_the_hub(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    row = dataclasses.replace(CHECKPOINTS[0], url="hf://me/flowers@v1/model.safetensors")
    with pytest.raises(ImportError, match="needs `huggingface_hub`"):
        row.download()
