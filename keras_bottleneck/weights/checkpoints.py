"""Published checkpoints: one row for each, with what its publisher states and nothing else.

A row needs a hash that its publisher states; where no page states an accuracy, the row has none.
Left out are therefore `keras.applications`' MobileNetV2 (no hash) and timm's networks (resized by
cubic interpolation, which `Preprocessing` does not describe).
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_bottleneck import checks
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.weights.download import Hash, download
from keras_bottleneck.weights.facts import Facts
from keras_bottleneck.weights.hub import download_from_hub


@dataclass(frozen=True)
class Checkpoint:
    """One trained network that can be downloaded.

    Args:
        model: Name of the builder in `keras_bottleneck.models`.
        name: Name among the checkpoints of that builder.
        url: Where the file is: `https://...`, or `hf://OWNER/REPOSITORY@REVISION/FILE`.
        hash: What the file's hash is or starts with, as `weights.download` takes it.
        layout: Whose names and order of axes the file has, `"torchvision"` or
            `"keras.applications"`.
        architecture: Arguments that make the builder's network the one that was trained.
        preprocessing: How the images were prepared when `top1` was measured.
        top1: Published top-1 accuracy in percent on ImageNet's validation images; None if none is.
        sources: The pages that state hash, accuracy and preprocessing.
    """

    model: str
    name: str
    url: str
    hash: str
    layout: str
    architecture: Mapping[str, Any]
    preprocessing: Preprocessing
    top1: float | None
    sources: tuple[str, ...]

    def download(self, folder: str | os.PathLike[str] | None = None) -> Path:
        """The path of the file, fetched unless it is there: see `weights.download`.

        Raises:
            DownloadError: If the file cannot be had, or has another hash.
            ImportError: If it is on the Hugging Face Hub and huggingface_hub is not installed.
        """
        if self.url.startswith("hf://"):
            return download_from_hub(self.url, self.hash, folder)
        return download(self.url, self.hash, folder=folder)

    def preprocessing_for(self, image_shape: Sequence[Any]) -> Preprocessing | None:
        """`preprocessing` for a model of another size, with the same part of pictures cut off.

        Args:
            image_shape: (height, width, channels) of the model; a side may be None. Another number
                of channels is what `load` makes of the first kernel with `adapt_stem=True`: the
                mean of all for one channel, else repeated; None where no order of colours is left.
        """
        *size, channels = image_shape
        fitted = self.preprocessing
        if None not in size:
            fitted = replace(fitted, image_size=tuple(size))
        if channels == fitted.channels:
            return fitted
        if channels != 1 and fitted.color_order != "rgb":
            return None
        mean, std = (
            _spread(np.broadcast_to(one, fitted.channels), channels)
            for one in (fitted.mean, fitted.std)
        )
        return replace(fitted, channels=channels, mean=mean, std=std, color_order="rgb")

    @property
    def facts(self) -> Facts:
        """What decides the network's numbers but does not show in its tensors."""
        return Facts(
            self.architecture.get("stride_on"),
            self.architecture["padding"],
            self.architecture["epsilon"],
        )


def _spread(values: np.ndarray[Any, Any], channels: int) -> tuple[float, ...]:
    """One value per channel: their mean for one, else repeated."""
    if channels == 1:
        return (float(values.mean()),)
    return tuple(values[np.arange(channels) % len(values)].tolist())


def find(model: str, name: str = "imagenet") -> Checkpoint:
    """The checkpoint `name` of the builder `model`.

    Every builder that has checkpoints has `"imagenet"`, which is torchvision's version 1, trained
    as in the paper. `"imagenet_v2"`, by torchvision's newer recipe, is more accurate on ImageNet
    (ResNet-50: 80.9% after 76.1%) and is no default because it is the worse start for what this
    package is for: features learnt with label smoothing transfer worse to other images (Kornblith
    et al. 2019, arXiv:1805.08974), int8 costs it more (0.58 points after 0.21 in torchvision's own
    quantized ResNet-50), and ResNet-18 and 34 have none. `"keras_imagenet"` are the weights of
    `keras.applications`. ResNeXt-101 64x4d has one checkpoint, by the newer recipe.

    Args:
        model: Name of a builder, such as `"ResNet50"`.
        name: Name of one of its checkpoints.

    Raises:
        ValueError: If there is none; the message lists those that there are.

    Example:
        >>> find("ResNet50", "imagenet_v2").top1
        80.858
    """
    checks.one_of("name", name, names(model))
    return next(row for row in CHECKPOINTS if (row.model, row.name) == (model, name))


def published(path: Path) -> Checkpoint | None:
    """The checkpoint that the file `path` is, by its name and its hash; None if it is none."""
    rows = [row for row in CHECKPOINTS if row.url.endswith(f"/{path.name}")]
    return next((row for row in rows if Hash.parse(row.hash).fits(path)), None)


def names(model: str) -> tuple[str, ...]:
    """The names of the checkpoints of the builder `model`.

    Raises:
        ValueError: If it has none; the message lists the builders that have.

    Example:
        >>> names("MobileNetV2")
        ('imagenet', 'imagenet_v2')
    """
    checks.one_of("model", model, tuple(dict.fromkeys(row.model for row in CHECKPOINTS)))
    return tuple(row.name for row in CHECKPOINTS if row.model == model)


def _torchvision(
    model: str, file: str, top1: float, recipe: int = 1, only: bool = False
) -> Checkpoint:
    """A row of torchvision, whose file names end with the first digits of their sha256.

    The `only` checkpoint of a network has the name of those by the first recipe.

    Sources: torchvision 0.29.2 for all numbers, `torch.hub.load_state_dict_from_url` for what its
    file names mean.
    """
    architecture: dict[str, Any] = {"padding": "symmetric", "epsilon": 1e-5}
    module = "mobilenetv2"
    if model != "MobileNetV2":
        architecture["stride_on"] = "3x3"
        module = "resnet"
    preprocessing = Preprocessing(
        (224, 224),
        resize="crop",
        crop_fraction=224 / (256 if recipe == 1 else 232),
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )
    return Checkpoint(
        model=model,
        name="imagenet" if recipe == 1 or only else "imagenet_v2",
        url=f"https://download.pytorch.org/models/{file}.pth",
        hash=f"sha256:{file.rpartition('-')[2]}",
        layout="torchvision",
        architecture=architecture,
        preprocessing=preprocessing,
        top1=top1,
        sources=(f"https://github.com/pytorch/vision/blob/main/torchvision/models/{module}.py",),
    )


def _keras(model: str, md5: str, top1: float) -> Checkpoint:
    """A row of `keras.applications`, with the classifier; the file serves without it too.

    Its publisher does not say how the images were resized; the third source, by who measured the
    accuracies, does: as here, but by cubic interpolation, for which bilinear may cost some tenths
    of a percent.
    """
    file = f"{model.lower()}_weights_tf_dim_ordering_tf_kernels.h5"
    preprocessing = Preprocessing(
        (224, 224),
        resize="crop",
        crop_fraction=0.875,
        scale=1.0,
        mean=(103.939, 116.779, 123.68),
        color_order="bgr",
    )
    return Checkpoint(
        model=model,
        name="keras_imagenet",
        url=f"https://storage.googleapis.com/tensorflow/keras-applications/resnet/{file}",
        hash=f"md5:{md5}",
        layout="keras.applications",
        architecture={"padding": "symmetric", "epsilon": 1.001e-5, "stride_on": "1x1"},
        preprocessing=preprocessing,
        top1=top1,
        sources=(
            "https://github.com/keras-team/keras/blob/master/keras/src/applications/resnet.py",
            "https://keras.io/api/applications/",
            "https://github.com/keras-team/keras-applications/issues/88",
        ),
    )


CHECKPOINTS: tuple[Checkpoint, ...] = (
    _torchvision("ResNet18", "resnet18-f37072fd", 69.758),
    _torchvision("ResNet34", "resnet34-b627a593", 73.314),
    _torchvision("ResNet50", "resnet50-0676ba61", 76.130),
    _torchvision("ResNet50", "resnet50-11ad3fa6", 80.858, 2),
    _keras("ResNet50", "2cb95161c43110f7111970584f804107", 74.9),
    _torchvision("ResNeXt50_32x4d", "resnext50_32x4d-7cdf4587", 77.618),
    _torchvision("ResNeXt50_32x4d", "resnext50_32x4d-1a0047aa", 81.198, 2),
    _torchvision("WideResNet50_2", "wide_resnet50_2-95faca4d", 78.468),
    _torchvision("WideResNet50_2", "wide_resnet50_2-9ba9bcbe", 81.602, 2),
    _torchvision("ResNet101", "resnet101-63fe2227", 77.374),
    _torchvision("ResNet101", "resnet101-cd907fc2", 81.886, 2),
    _keras("ResNet101", "f1aeb4b969a6efcfb50fad2f0c20cfc5", 76.4),
    _torchvision("ResNeXt101_32x8d", "resnext101_32x8d-8ba56ff5", 79.312),
    _torchvision("ResNeXt101_32x8d", "resnext101_32x8d-110c445d", 82.834, 2),
    _torchvision("ResNeXt101_64x4d", "resnext101_64x4d-173b62eb", 83.246, 2, only=True),
    _torchvision("WideResNet101_2", "wide_resnet101_2-32ee1156", 78.848),
    _torchvision("WideResNet101_2", "wide_resnet101_2-d733dc28", 82.510, 2),
    _torchvision("ResNet152", "resnet152-394f9c45", 78.312),
    _torchvision("ResNet152", "resnet152-f82ba261", 82.284, 2),
    _keras("ResNet152", "100835be76be38e30d865e96f2aaae62", 76.6),
    _torchvision("MobileNetV2", "mobilenet_v2-b0353104", 71.878),
    _torchvision("MobileNetV2", "mobilenet_v2-7ebf99e0", 72.154, 2),
)
