"""The table of checkpoints agrees with itself, with the builders and with its sources."""

import copy
import dataclasses
import hashlib
import math
import re
import sys
from functools import cache
from pathlib import PurePosixPath

import keras
import numpy as np
import pytest

from keras_bottleneck import models
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.weights.checkpoints import CHECKPOINTS, find, names
from keras_bottleneck.weights.download import DownloadError, Hash

from . import server as servers

TORCHVISION, TIMM, KERAS = (
    [row for row in CHECKPOINTS if row.publisher == publisher]
    for publisher in ("torchvision", "timm", "keras.applications")
)

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
    assert row.hash is None or Hash.parse(row.hash)
    assert 45 < row.top1 < 90
    assert isinstance(row.preprocessing, Preprocessing)
    assert row.preprocessing.channels == 3
    assert row.needs == ("torch" if row.url.endswith(".pth") else "")
    assert row.sources
    assert all(page.startswith("https://") for page in row.sources)
    assert find(row.model, row.name) is row


def test_rows_are_different():
    assert len({(row.model, row.name) for row in CHECKPOINTS}) == len(CHECKPOINTS)
    assert len({row.url for row in CHECKPOINTS}) == len(CHECKPOINTS)
    assert len({row.file_name or row.url for row in CHECKPOINTS}) == len(CHECKPOINTS)
    pinned = [row.hash for row in CHECKPOINTS if row.hash is not None]
    assert len(set(pinned)) == len(pinned)


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
    newer = row.name.endswith("_v2")
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
def test_keras_downloads_the_same(row, monkeypatch):
    """What `keras.applications` asks its own `get_file` for, and with which hash."""
    asked = []

    def get_file(name, url, cache_subdir, file_hash=None):
        asked.append((url, file_hash, cache_subdir))
        raise InterruptedError

    monkeypatch.setattr(keras.src.utils.file_utils, "get_file", get_file)
    given = {}
    if row.model == "MobileNetV2":
        shape = row.preprocessing.input_shape
        given = {"alpha": row.architecture["alpha"], "input_shape": shape}
    with pytest.raises(InterruptedError):
        getattr(keras.applications, row.model)(**given)
    assert asked == [(row.url, row.hash and row.hash.removeprefix("md5:"), "models")]


@pytest.mark.parametrize("row", KERAS, ids=label)
def test_keras_prepares_images_so(row):
    """`preprocess_input` of the module of the network."""
    module = {"MobileNetV2": "mobilenet_v2"}.get(row.model, row.model[-2:] == "V2" and "resnet_v2")
    theirs = getattr(keras.applications, module or "resnet").preprocess_input
    pixels = np.random.default_rng(0).uniform(0, 255, (4, 5, 3)).astype(np.float32)
    ours = row.preprocessing.normalize(pixels)
    np.testing.assert_allclose(ours, theirs(pixels.copy()), rtol=0, atol=1e-4)


def test_the_builders_take_the_arguments_of_their_rows():
    for row in CHECKPOINTS:
        if row.model == "MobileNetV2":
            continue  # `alpha` is checked where it is loaded
        preactivation = {"preactivation": row.model.endswith("V2")}
        block = {"block": "basic" if row.model in ("ResNet18", "ResNet34") else "bottleneck"}
        arguments = {**row.architecture, "include_top": False, "input_shape": (32, 32, 3)}
        small = {"depths": (1,), "filters": (8,), **preactivation, **block}
        assert models.ResNet(**small, **arguments).output_shape[1:3] == (8, 8)


@pytest.mark.parametrize("row", TIMM, ids=label)
def test_a_row_of_timm_is_on_its_hub(row):
    repository = row.file_name.removesuffix(".safetensors")
    page = f"https://huggingface.co/timm/{repository}"
    revision = re.fullmatch(rf"{re.escape(page)}/resolve/(\w+)/model\.safetensors", row.url)[1]
    # A hash is that of a commit: those of a branch change.
    assert (revision == "main") == (row.hash is None)
    assert row.hash is None or len(row.hash) == len("sha256:") + 64
    assert row.sources[0] == page


def test_the_default_needs_nothing_and_is_the_best_of_those():
    for model in {row.model for row in CHECKPOINTS}:
        default = find(model)
        assert default.needs == ""
        like = [
            row
            for row in CHECKPOINTS
            if row.model == model
            and row.needs == ""
            and row.architecture.get("alpha") == default.architecture.get("alpha")
        ]
        assert default.top1 == max(row.top1 for row in like)
        assert names(model)[0] == "imagenet"
        ordered = [find(model, name) for name in names(model)[1:]]
        assert [row.needs for row in ordered] == sorted(row.needs for row in ordered)
        assert default is ordered[0]


@pytest.mark.parametrize("alpha", [0.35, 0.5, 0.75, 1.0, 1.3, 1.4])
@pytest.mark.parametrize("size", [96, 128, 160, 192, 224, 97])
def test_widths_and_sizes_of_mobilenet(alpha, size):
    row = find("MobileNetV2", alpha=alpha, image_size=size)
    there = size if alpha < 1.3 and size != 97 else 224
    assert row.preprocessing.image_size == (there, there)
    assert row.url.endswith(f"_{alpha}_{there}.h5")
    assert find("MobileNetV2", alpha=alpha, image_size=(size, None)).url.endswith("_224.h5")


def test_what_is_known_of_them_is_printed():
    printed = str(names("ResNet50"))
    lines = [line.split() for line in printed.splitlines() if "imagenet" in line]
    assert lines[2][:5] == ["│", "imagenet_v2", "│", "80.9%", "│"]
    assert [line.count("torch") for line in lines[:4]] == [0, 0, 1, 1]
    assert "keras.applications" in lines[1] and "md5" in lines[1]
    assert copy.copy(names("ResNet50")) == names("ResNet50")


def test_a_width_without_weights_is_refused():
    with pytest.raises(ValueError, match=r"^`alpha` must be one of 1\.0, 1\.4, .*alpha=0\.6$"):
        models.MobileNetV2(alpha=0.6, weights="imagenet")
    with pytest.raises(ValueError, match=r"^`alpha` must be 1\.0, as checkpoint 'imagenet_v2'"):
        models.MobileNetV2(alpha=1.4, weights="imagenet_v2")
    with pytest.raises(ValueError, match="^`image_size` must be"):
        find("MobileNetV2", image_size="96")


def test_every_builder_with_rows_has_imagenet():
    assert {row.model for row in CHECKPOINTS} == {
        "MobileNetV2",
        "ResNet101V2",
        "ResNet152V2",
        "ResNet50V2",
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


def test_a_wrong_name_lists_those_that_there_are():
    with pytest.raises(ValueError, match=r"^`name` must be one of 'imagenet', 'timm_imagenet', "):
        find("ResNet18", "imagnet")
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
            file_name=None,
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
