"""Weights by name, with what this package installs and nothing more: no PyTorch, no Hub's client.

The files have the very layouts of their publishers, and come from a server on this machine.
"""

import csv
import hashlib
import sys
from dataclasses import replace

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format
from PIL import Image
from safetensors.numpy import load_file, save_file

import keras_bottleneck as kb
from keras_bottleneck import runs, training, weights
from keras_bottleneck.weights import checkpoints

from ..quantization import published as data
from . import server as servers

SHAPE = (32, 32, 3)


@pytest.fixture(autouse=True)
def nothing_more(monkeypatch, tmp_path):
    """Neither PyTorch nor huggingface_hub can be imported, and the cache is a new one."""
    for package in ("torch", "huggingface_hub"):
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


@pytest.fixture
def served(monkeypatch):
    """A function: serves `content` as the file of a row, `how` its publisher does."""
    with servers.serving(b"") as server:

        def serve(row, content, how, pinned=True):
            server.content = content
            (key,) = (key for key, one in checkpoints._CHECKPOINTS.items() if one is row)
            algorithm = row.hash.partition(":")[0] if row.hash else None
            hash = algorithm and f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
            name = row.file_name or row.url.rpartition("/")[2]
            moved = replace(row, url=server.url(how, name), hash=hash if pinned else None)
            monkeypatch.setitem(checkpoints._CHECKPOINTS, key, moved)
            return server

        yield serve


@pytest.fixture
def photo_folder(tmp_path):
    """Four dark and four light images."""
    for name, level in (("dark", 40), ("light", 200)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(4):
            Image.new("RGB", (30, 20), (level, level, index)).save(
                tmp_path / "photos" / name / f"{index}.png"
            )
    return tmp_path / "photos"


def keras_2_file(model, path):
    """The bytes of the file that Keras 2 wrote of weights alone, as `keras.applications` has it."""
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return path.read_bytes()


def timm_file(model, path):
    """The bytes of a file of timm: torchvision's names, counters of batches, no word of ours."""
    weights.save(model, path)
    tensors = load_file(path)
    for name in [one for one in tensors if one.endswith(".running_mean")]:
        tensors[name.replace("running_mean", "num_batches_tracked")] = np.array(7)
    save_file(tensors, path, {"format": "pt"})
    return path.read_bytes()


@pytest.mark.parametrize(("alpha", "size"), [(0.35, 96), (0.5, 128)])
def test_mobilenet_v2_of_keras(served, trained, tmp_path, noise, max_difference, alpha, size):
    shape = (size, size, 3)
    theirs = trained(keras.applications.MobileNetV2(shape, alpha=alpha, weights=None))
    row = weights.find("MobileNetV2", alpha=alpha, image_size=size)
    served(row, keras_2_file(theirs, tmp_path / "theirs.h5"), "in_storage")
    model = kb.MobileNetV2(shape, alpha=alpha, weights="imagenet")
    x = noise(2, *shape)
    assert max_difference(model(x), theirs(x)) < 1e-5
    assert kb.model_preprocessing(model) == row.preprocessing
    # From the cache, where `keras.applications` would find it too.
    name = row.url.rpartition("/")[2]
    assert (tmp_path / "keras" / "models" / name).is_file()
    again = kb.MobileNetV2(shape, alpha=alpha, weights=tmp_path / "keras" / "models" / name)
    assert max_difference(again(x), theirs(x)) < 1e-5
    assert kb.model_preprocessing(again) == row.preprocessing


@pytest.mark.parametrize("pinned", [True, False])
def test_a_resnet_of_timm(served, trained, tmp_path, noise, max_difference, pinned):
    theirs = trained(kb.ResNet18(input_shape=SHAPE))
    served(
        weights.find("ResNet18"),
        timm_file(theirs, tmp_path / "a.safetensors"),
        "on_the_hub",
        pinned,
    )
    model = kb.ResNet18(input_shape=SHAPE, weights="imagenet")
    x = noise(2, *SHAPE)
    assert max_difference(model(x), theirs(x)) == 0
    prepare = kb.model_preprocessing(model)
    assert (prepare.interpolation, prepare.image_size) == ("bicubic", SHAPE[:2])
    assert (tmp_path / "keras" / "models" / "resnet18.a1_in1k.safetensors").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ResNet50", "ResNet50V2"])
def test_a_resnet_of_keras(served, trained, tmp_path, noise, max_difference, name):
    theirs = trained(getattr(keras.applications, name)(weights=None, input_shape=(64, 64, 3)))
    row = weights.find(name, "keras_imagenet")
    served(row, keras_2_file(theirs, tmp_path / "theirs.h5"), "in_storage")
    model = getattr(kb, name)(input_shape=(64, 64, 3), weights="keras_imagenet")
    x = noise(2, 64, 64, 3)
    assert max_difference(model(x), theirs(x)) < 1e-5
    assert kb.model_preprocessing(model) == row.preprocessing_for((64, 64, 3))


@pytest.mark.slow
def test_finetune(served, trained, tmp_path, photo_folder):
    theirs = trained(keras.applications.MobileNetV2((96, 96, 3), weights=None))
    row = weights.find("MobileNetV2", image_size=96)
    served(row, keras_2_file(theirs, tmp_path / "theirs.h5"), "in_storage")
    recipe = training.FineTune(epochs=1, head_epochs=1, stages=0)
    run = runs.finetune("MobileNetV2", photo_folder, tmp_path / "run", image_size=96, recipe=recipe)
    assert run.config["settings"]["weights"] == "keras_imagenet_1.0_96"
    assert run.config["preprocessing"]["interpolation"] == "bicubic"
    card = (tmp_path / "run" / "README.md").read_text()
    assert (
        "**Began with**: `keras_imagenet_1.0_96` of keras.applications, published with 60.3%"
        in card
    )
    assert "no hash of it is pinned: the one that its server states was compared" in card
    assert "--weights keras_imagenet_1.0_96" in card


def test_offline_one_sentence_says_where_the_file_belongs(tmp_path, monkeypatch):
    for how in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(how, "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    folder = tmp_path / "keras" / "models"
    with pytest.raises(weights.DownloadError) as error:
        kb.MobileNetV2(weights="imagenet")
    message = str(error.value)
    assert message.startswith(weights.find("MobileNetV2").url)
    assert message.endswith(f"or copy the file into {folder} by hand.")
    with pytest.raises(
        weights.DownloadError, match=r"by hand as resnet34\.a1_in1k\.safetensors\.$"
    ):
        kb.ResNet34(weights="imagenet")
    with pytest.raises(ValueError, match="^`weights` must be None, or a file that ends in"):
        kb.SEResNet50(weights="imagenet")


@pytest.mark.slow
def test_trained_weights_classify_photographs(served):
    """A real file through the same route, and photographs prepared as its row says."""
    row = weights.find("MobileNetV2")
    file = data.folder() / "mobilenet_v2_1.0_224_imagenet.weights.h5"
    served(row, file.read_bytes(), "in_storage")
    model = kb.MobileNetV2(weights="imagenet")
    prepare = kb.model_preprocessing(model)
    source = data.folder() / "imagenet_val100"
    with (source / "labels.csv").open(newline="") as listed:
        rows = list(csv.DictReader(listed))
    images = np.stack([prepare(source / one["file"]) for one in rows])
    labels = np.array([int(one["class_index"]) for one in rows])
    right = int(np.sum(model.predict(images, batch_size=10, verbose=0).argmax(-1) == labels))
    print(f"of {len(rows)} right: {right}")
    assert abs(right - 70) <= 2
