"""Published weights, trained on ImageNet: a row for each file, with what is stated of it.

The table needs neither Keras nor NumPy, so that it can be shown at once; `weights.publishers` and
`weights.checkpoints` make of its rows what can be downloaded.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

KERAS, TIMM, TORCHVISION = "keras.applications", "timm", "torchvision"
# What `weights="imagenet"` calls the first row that fits the network.
DEFAULT = "imagenet"


@dataclass(frozen=True)
class Published:
    """One file of trained weights.

    Attributes:
        model: Name of the builder of its network.
        name: Its name among the weights of that builder.
        publisher: `"keras.applications"`, `"timm"` or `"torchvision"`.
        file: Its name there; of timm, that of its repository on the Hugging Face Hub.
        hash: What its hash is or starts with, `"sha256:..."` or `"md5:..."`; None if none is known.
        top1: Published top-1 accuracy in percent on ImageNet's validation images.
        image_size: Side in pixels of the images with which that was measured.
        crop: Share of the resized short side that was cut out of the middle.
        interpolation: How the images were resized.
        alpha: Width multiplier of a MobileNetV2.
        revision: The commit of a repository.
    """

    model: str
    name: str
    publisher: str
    file: str
    hash: str | None
    top1: float
    image_size: int = 224
    crop: float = 0.875
    interpolation: str = "bicubic"
    alpha: float = 1.0
    revision: str = "main"

    @property
    def needs(self) -> str:
        """The package that reads the file beside those which are always there; "" for none."""
        return "torch" if self.publisher == TORCHVISION else ""


# The short sides to which timm, torchvision's newer recipe and the older ones resize images.
SHORT_SIDE_235, SHORT_SIDE_232, SHORT_SIDE_256 = 224 / 235, 224 / 232, 224 / 256


def _timm(
    model: str,
    repository: str,
    top1: float,
    crop: float = SHORT_SIDE_235,
    interpolation: str = "bicubic",
    revision: str = "main",
    sha256: str | None = None,
) -> Published:
    """A row of timm, by its repository on the Hugging Face Hub.

    Accuracies, sizes and interpolations are those of `results/results-imagenet.csv` at 224 pixels.
    Revisions and hashes are those that several users of the file, who have nothing to do with each
    other, record in public repositories as what the Hub gave them. They have not been read from the
    Hub itself; where fewer agree, none is pinned, and the Hub is asked at the time of the download.
    """
    return Published(
        model=model,
        name="timm_imagenet",
        publisher=TIMM,
        file=repository,
        hash=None if sha256 is None else f"sha256:{sha256}",
        top1=top1,
        crop=crop,
        interpolation=interpolation,
        revision=revision,
    )


def _keras(model: str, md5: str, top1: float, image_size: int = 224) -> Published:
    """A ResNet of `keras.applications`, with the md5 that its source code states."""
    file = f"resnet/{model.lower()}_weights_tf_dim_ordering_tf_kernels.h5"
    return Published(model, "keras_imagenet", KERAS, file, f"md5:{md5}", top1, image_size)


def _mobilenets(alpha: float, top1: Mapping[int, float]) -> Iterator[Published]:
    """The MobileNetV2 of one width of `keras.applications`, which states no hash of them.

    Args:
        alpha: Width multiplier.
        top1: Side of the images in pixels to accuracy. Those of 224 pixels are the ones that were
            measured with Keras, the others those of the TensorFlow checkpoints from which Keras's
            files were made, which were measured with images that were cut and stretched.
    """
    for size, accuracy in top1.items():
        usual = (alpha, size) == (1.0, 224)
        yield Published(
            model="MobileNetV2",
            name="keras_imagenet" if usual else f"keras_imagenet_{alpha}_{size}",
            publisher=KERAS,
            file=f"mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_{size}.h5",
            hash=None,
            top1=accuracy,
            image_size=size,
            alpha=alpha,
        )


def _torchvision(model: str, file: str, top1: float, recipe: int = 1) -> Published:
    """A row of torchvision, whose file names end with the first digits of their sha256.

    Sources: torchvision 0.29.2 for all numbers, `torch.hub.load_state_dict_from_url` for what its
    file names mean.
    """
    return Published(
        model=model,
        name="torchvision_imagenet" if recipe == 1 else "imagenet_v2",
        publisher=TORCHVISION,
        file=f"{file}.pth",
        hash=f"sha256:{file.rpartition('-')[2]}",
        top1=top1,
        crop=SHORT_SIDE_256 if recipe == 1 else SHORT_SIDE_232,
        interpolation="bilinear",
    )


# Of each network first those that need no further package, then the more accurate.
PUBLISHED: tuple[Published, ...] = (
    _timm(
        "ResNet18",
        "resnet18.a1_in1k",
        71.504,
        revision="491b427b45c94c7fb0e78b5474cc919aff584bbf",
        sha256="80c49dee3da4822c009c5a7fe591e9223c5a2cfcf95a4067ca4dfb5a7b89c612",
    ),
    _torchvision("ResNet18", "resnet18-f37072fd", 69.758),
    _timm("ResNet34", "resnet34.a1_in1k", 76.420),
    _torchvision("ResNet34", "resnet34-b627a593", 73.314),
    _timm(
        "ResNet50",
        "resnet50.a1_in1k",
        80.382,
        revision="767268603ca0cb0bfe326fa87277f19c419566ef",
        sha256="773525d5821de224f8f30c33377b7a795d7863e08522698200d3217d3f2a41bb",
    ),
    _keras("ResNet50", "2cb95161c43110f7111970584f804107", 74.9),
    _torchvision("ResNet50", "resnet50-11ad3fa6", 80.858, 2),
    _torchvision("ResNet50", "resnet50-0676ba61", 76.130),
    _timm("ResNet101", "resnet101.a1h_in1k", 81.950),
    _keras("ResNet101", "f1aeb4b969a6efcfb50fad2f0c20cfc5", 76.4),
    _torchvision("ResNet101", "resnet101-cd907fc2", 81.886, 2),
    _torchvision("ResNet101", "resnet101-63fe2227", 77.374),
    _timm("ResNet152", "resnet152.a1h_in1k", 82.818),
    _keras("ResNet152", "100835be76be38e30d865e96f2aaae62", 76.6),
    _torchvision("ResNet152", "resnet152-f82ba261", 82.284, 2),
    _torchvision("ResNet152", "resnet152-394f9c45", 78.312),
    _keras("ResNet50V2", "3ef43a0b657b3be2300d5770ece849e0", 76.0, 299),
    _keras("ResNet101V2", "6343647c601c52e1368623803854d971", 77.2, 299),
    _keras("ResNet152V2", "a49b44d1979771252814e80f8ec446f9", 78.0, 299),
    _timm("ResNeXt50_32x4d", "resnext50_32x4d.a1h_in1k", 81.140),
    _torchvision("ResNeXt50_32x4d", "resnext50_32x4d-1a0047aa", 81.198, 2),
    _torchvision("ResNeXt50_32x4d", "resnext50_32x4d-7cdf4587", 77.618),
    _timm("ResNeXt101_32x8d", "resnext101_32x8d.tv2_in1k", 82.832, SHORT_SIDE_232, "bilinear"),
    _torchvision("ResNeXt101_32x8d", "resnext101_32x8d-110c445d", 82.834, 2),
    _torchvision("ResNeXt101_32x8d", "resnext101_32x8d-8ba56ff5", 79.312),
    _timm("ResNeXt101_64x4d", "resnext101_64x4d.tv_in1k", 82.978, SHORT_SIDE_256, "bilinear"),
    _torchvision("ResNeXt101_64x4d", "resnext101_64x4d-173b62eb", 83.246, 2),
    _timm(
        "WideResNet50_2",
        "wide_resnet50_2.racm_in1k",
        81.466,
        SHORT_SIDE_256,
        revision="30f73aceaaa1911830a9795b83ab1908dba18719",
        sha256="03b71d65fb2c73bb0de079a1781009f27a782ec481d2f64ab3bde9b1cdec3000",
    ),
    _torchvision("WideResNet50_2", "wide_resnet50_2-9ba9bcbe", 81.602, 2),
    _torchvision("WideResNet50_2", "wide_resnet50_2-95faca4d", 78.468),
    _timm("WideResNet101_2", "wide_resnet101_2.tv2_in1k", 82.514, SHORT_SIDE_232, "bilinear"),
    _torchvision("WideResNet101_2", "wide_resnet101_2-d733dc28", 82.510, 2),
    _torchvision("WideResNet101_2", "wide_resnet101_2-32ee1156", 78.848),
    *_mobilenets(1.0, {224: 71.336, 192: 70.7, 160: 68.8, 128: 65.3, 96: 60.3}),
    *_mobilenets(1.4, {224: 75.230}),
    *_mobilenets(1.3, {224: 74.680}),
    *_mobilenets(0.75, {224: 69.532, 192: 68.7, 160: 66.4, 128: 63.2, 96: 58.8}),
    *_mobilenets(0.5, {224: 65.194, 192: 63.9, 160: 61.0, 128: 57.7, 96: 51.2}),
    *_mobilenets(0.35, {224: 60.086, 192: 58.2, 160: 55.7, 128: 50.8, 96: 45.5}),
    _torchvision("MobileNetV2", "mobilenet_v2-7ebf99e0", 72.154, 2),
    _torchvision("MobileNetV2", "mobilenet_v2-b0353104", 71.878),
)


def rows_of(model: str) -> tuple[Published, ...]:
    """The rows of the builder `model`, the one that `"imagenet"` stands for by default first.

    Example:
        >>> [row.name for row in rows_of("ResNet34")]
        ['timm_imagenet', 'torchvision_imagenet']
    """
    return tuple(row for row in PUBLISHED if row.model == model)


def table_of(model: str) -> Any:
    """The rows of the builder `model` as a table of `rich`."""
    from rich.table import Table

    rows = rows_of(model)
    table = Table(title=f"Trained weights of {model}", caption=f"{DEFAULT}: the first that fits")
    for column, justify in COLUMNS.items():
        table.add_column(column, justify=justify, no_wrap=True)
    for row in rows:
        pinned = "of the server" if row.hash is None else row.hash.partition(":")[0]
        size = f"{row.image_size} px"
        table.add_row(row.name, f"{row.top1:.1f}%", size, row.publisher, pinned, row.needs)
    return table


COLUMNS: dict[str, Literal["left", "right"]] = {
    "weights": "left",
    "top-1": "right",
    "images": "right",
    "from": "left",
    "hash": "left",
    "needs": "left",
}
