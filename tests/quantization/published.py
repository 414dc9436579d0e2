"""Published networks with trained weights, and the images that they are judged by."""

import csv
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_bottleneck as kb

CIFAR = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
IMAGENET = kb.Preprocessing(
    (224, 224), resize="crop", crop_fraction=224 / 256, scale=1 / 127.5, mean=(1.0,)
)
TORCH_MARK = 0x1950A86A20F9469CFC6C


def folder() -> Path:
    """The folder with the weights and images; without it, the test is skipped."""
    found = os.environ.get("KERAS_BOTTLENECK_DATA")
    if not found:
        pytest.skip("KERAS_BOTTLENECK_DATA does not name the folder with weights and images")
    return Path(found)


def cifar(part, count=None):
    """`count` images of a part, "train" or "test", as ResNet20 takes them, and their classes."""
    with np.load(folder() / "cifar10_9k.npz") as file:
        images, labels = file[f"x_{part}"][:count], file[f"y_{part}"][:count]
    normalized = (images.astype(np.float32) / 255 - CIFAR["mean"]) / CIFAR["std"]
    return normalized.astype(np.float32), labels.ravel()


def photos():
    """The ImageNet photographs as MobileNetV2 takes them, and their classes."""
    source = folder() / "imagenet_val100"
    with (source / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    images = np.stack([IMAGENET(source / row["file"]) for row in rows])
    return images, np.array([int(row["class_index"]) for row in rows])


def mobilenet_v2():
    """`keras.applications.MobileNetV2` trained on ImageNet, up to its logits."""
    model = keras.applications.MobileNetV2(weights=None, classifier_activation=None)
    model.load_weights(folder() / "mobilenet_v2_1.0_224_imagenet.weights.h5")
    return model


def resnet20():
    """ResNet20 with option A shortcuts trained on CIFAR-10, up to its logits."""
    model = kb.ResNet(
        "basic",
        (3, 3, 3),
        filters=(16, 32, 64),
        stem="cifar",
        shortcut="pad",
        classes=10,
        input_shape=(32, 32, 3),
        classifier_activation=None,
    )
    flat = kb.graph.flatten(model)
    stored = read_torch(folder() / "cifar10_resnet20.th")
    for layer in flat.layers:
        if not layer.weights:
            continue
        path = _torch_name(layer.name)
        if isinstance(layer, keras.layers.BatchNormalization):
            names = ("weight", "bias", "running_mean", "running_var")
            layer.set_weights([stored.pop(f"module.{path}.{name}") for name in names])
        elif isinstance(layer, keras.layers.Dense):
            kernel = stored.pop(f"module.{path}.weight").T
            layer.set_weights([kernel, stored.pop(f"module.{path}.bias")])
        else:
            layer.set_weights([stored.pop(f"module.{path}.weight").transpose(2, 3, 1, 0)])
    assert not stored, f"left over: {sorted(stored)}"
    return flat


def _torch_name(name):
    """What akamaster/pytorch_resnet_cifar10 calls a layer: `stage1_block2_first_conv`, ..."""
    if name == "predictions":
        return "linear"
    if name.startswith("stem_"):
        return {"stem_conv": "conv1", "stem_bn": "bn1"}[name]
    stage, block, place, kind = name.split("_")
    number = {"first": 1, "second": 2}[place]
    return f"layer{stage[5:]}.{int(block[5:]) - 1}.{kind}{number}"


def read_torch(path):
    """The float32 arrays in the `state_dict` of a file that `torch.save` wrote before 1.6.

    Nothing that the file names is imported or run: it may hold dicts, numbers, strings and
    tensors, and for anything else this raises `pickle.UnpicklingError`.
    """
    with Path(path).open("rb") as file:
        if _Reader(file).load() != TORCH_MARK:
            raise pickle.UnpicklingError(f"{path} is no torch file of before 1.6")
        _Reader(file).load()  # protocol version
        _Reader(file).load()  # sizes of C types
        reader = _Reader(file)
        state = reader.load()["state_dict"]
        storages = {}
        for key in _Reader(file).load():
            count = int.from_bytes(file.read(8), "little")
            storages[key] = np.frombuffer(file.read(count * 4), "<f4")
            if len(storages[key]) != count or count != reader.counts[key]:
                raise pickle.UnpicklingError(f"{path} is cut off")
    found = {}
    for name, (key, start, shape, strides) in state.items():
        if strides != tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))):
            raise pickle.UnpicklingError(f"{name} is not stored row by row")
        found[name] = storages[key][start : start + int(np.prod(shape))].reshape(shape)
    return found


class _Reader(pickle.Unpickler):
    """Reads tensors as (storage key, start, shape, strides)."""

    KNOWN = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch", "FloatStorage"): "float32",
        ("torch._utils", "_rebuild_tensor"): lambda key, *layout: (key, *layout),
        ("torch._utils", "_rebuild_tensor_v2"): lambda key, start, shape, strides, *_: (
            key,
            start,
            shape,
            strides,
        ),
    }

    def __init__(self, file):
        super().__init__(file)
        self.counts = {}

    def find_class(self, module, name):
        if (module, name) not in self.KNOWN:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed here")
        return self.KNOWN[module, name]

    def persistent_load(self, found):
        kind, dtype, key, _, count, view = found
        if (kind, dtype, view) != ("storage", "float32", None):
            raise pickle.UnpicklingError(f"{found} is no float32 storage")
        self.counts[key] = count
        return key
