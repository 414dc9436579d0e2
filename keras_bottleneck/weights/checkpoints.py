"""Published checkpoints: one for each row of `keras_bottleneck.published`."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_bottleneck import checks
from keras_bottleneck.console import Printable
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.published import DEFAULT, PUBLISHED, rows_of, table_of
from keras_bottleneck.weights.download import Hash, download
from keras_bottleneck.weights.facts import Facts
from keras_bottleneck.weights.hub import download_from_hub
from keras_bottleneck.weights.publishers import details_of


@dataclass(frozen=True)
class Checkpoint:
    """One trained network that can be downloaded.

    Args:
        model: Name of the builder in `keras_bottleneck.models`.
        name: Name among the checkpoints of that builder.
        url: Where the file is: `https://...`, or `hf://OWNER/REPOSITORY@REVISION/FILE`.
        hash: What the file's hash is or starts with, as `weights.download` takes it; None where
            none is pinned, and the one is compared that the server states at the time.
        layout: Whose names and order of axes the file has, `"torchvision"` or
            `"keras.applications"`.
        architecture: Arguments that make the builder's network the one that was trained.
        preprocessing: How the images were prepared when `top1` was measured.
        top1: Published top-1 accuracy in percent on ImageNet's validation images; None if none is.
        sources: The pages that state hash, accuracy and preprocessing.
        publisher: Who has published it.
        file_name: Its name in the folder of downloads; None for that in the address.
        needs: The package that reads it beside those which are always there; "" for none.
    """

    model: str
    name: str
    url: str
    hash: str | None
    layout: str
    architecture: Mapping[str, Any]
    preprocessing: Preprocessing
    top1: float | None
    sources: tuple[str, ...]
    publisher: str = ""
    file_name: str | None = None
    needs: str = ""

    def download(self, folder: str | os.PathLike[str] | None = None) -> Path:
        """The path of the file, fetched unless it is there: see `weights.download`.

        Raises:
            DownloadError: If the file cannot be had, or has another hash.
            ImportError: If it is on the Hugging Face Hub and huggingface_hub is not installed.
        """
        if self.url.startswith("hf://"):
            return download_from_hub(self.url, self.hash, folder)
        return download(self.url, self.hash, self.file_name, folder)

    def is_file(self, path: Path) -> bool:
        """Whether `path` is its file: by its name, and by its hash where one is pinned."""
        name = self.file_name or self.url.rpartition("/")[2]
        return path.name == name and (self.hash is None or Hash.parse(self.hash).fits(path))

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
            self.architecture.get("stride_at"),
        )


def _spread(values: np.ndarray[Any, Any], channels: int) -> tuple[float, ...]:
    """One value per channel: their mean for one, else repeated."""
    if channels == 1:
        return (float(values.mean()),)
    return tuple(values[np.arange(channels) % len(values)].tolist())


def find(
    model: str,
    name: str = DEFAULT,
    *,
    alpha: float = 1.0,
    image_size: int | Sequence[int | None] | None = None,
) -> Checkpoint:
    """The checkpoint `name` of the builder `model`.

    `"imagenet"` is the one that is used by default: of those which are read by what this package
    installs, the most accurate. `"timm_imagenet"` are weights of timm, as `.safetensors` from the
    Hugging Face Hub, `"keras_imagenet"` those of `keras.applications`. The others are torchvision's
    and need PyTorch: `"torchvision_imagenet"`, trained as in the paper, and `"imagenet_v2"`, by a
    newer recipe. The more accurate is not always the better start: features learnt with label
    smoothing transfer worse to other images (Kornblith et al. 2019, arXiv:1805.08974), and int8
    costs them more (0.58 points after 0.21 in torchvision's own quantized ResNet-50).

    MobileNetV2 has weights for several widths and sizes of images: `"imagenet"` are those of
    `alpha`, trained on images of `image_size` or else on those of 224 pixels.

    Args:
        model: Name of a builder, such as `"ResNet50"`.
        name: Name of one of its checkpoints.
        alpha: Width multiplier of a MobileNetV2, with `"imagenet"`.
        image_size: (height, width) of the images in pixels or one side, with `"imagenet"`.

    Raises:
        ValueError: If there is none; the message lists those that there are.

    Example:
        >>> find("ResNet50", "imagenet_v2").top1
        80.858
        >>> find("MobileNetV2", alpha=0.35, image_size=96).name
        'keras_imagenet_0.35_96'
    """
    checks.one_of("name", name, names(model))
    rows = rows_of(model)
    if name != DEFAULT:
        return _CHECKPOINTS[next(row for row in rows if row.name == name)]
    checks.one_of("alpha", alpha, tuple(dict.fromkeys(row.alpha for row in rows)))
    fitting = [row for row in rows if row.alpha == alpha]
    # A side that may have any length has that of none of them.
    sides = image_size if isinstance(image_size, (tuple, list)) else [image_size]
    wanted = None if None in sides else checks.size("image_size", image_size)
    of_size = [row for row in fitting if wanted == (row.image_size, row.image_size)]
    return _CHECKPOINTS[next(iter([*of_size, *fitting]))]


def published(path: Path) -> Checkpoint | None:
    """The checkpoint whose file `path` is; None if it is that of none."""
    return next((one for one in CHECKPOINTS if one.is_file(path)), None)


class Names(Printable, tuple[str, ...]):
    """Names of the checkpoints of a builder; printing them shows a table of what is known of them.

    Attributes:
        model: Name of the builder.
    """

    model: str

    def __new__(cls, model: str) -> "Names":
        """The names of the checkpoints of the builder `model`."""
        self = super().__new__(cls, (DEFAULT, *(row.name for row in rows_of(model))))
        self.model = model
        return self

    def __getnewargs__(self) -> tuple[str]:
        return (self.model,)

    def __rich__(self) -> Any:
        return table_of(self.model)


def names(model: str) -> Names:
    """The names of the checkpoints of the builder `model`, first `"imagenet"` for the default.

    Printed, they are a table of publishers, accuracies, and what each needs.

    Raises:
        ValueError: If it has none; the message lists the builders that have.

    Example:
        >>> names("ResNet34")
        ('imagenet', 'timm_imagenet', 'torchvision_imagenet')
    """
    checks.one_of("model", model, tuple(dict.fromkeys(row.model for row in PUBLISHED)))
    return Names(model)


_CHECKPOINTS = {
    row: Checkpoint(
        model=row.model,
        name=row.name,
        hash=row.hash,
        top1=row.top1,
        publisher=row.publisher,
        needs=row.needs,
        **details_of(row)._asdict(),
    )
    for row in PUBLISHED
}
CHECKPOINTS: tuple[Checkpoint, ...] = tuple(_CHECKPOINTS.values())
