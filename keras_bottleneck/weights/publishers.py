"""What the rows of a publisher have in common: addresses, architectures, preparation of images."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.published import KERAS, TIMM, TORCHVISION, Published

# How pixels became the input of each kind of network.
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
CAFFE = {"scale": 1.0, "mean": (103.939, 116.779, 123.68), "color_order": "bgr"}
ONE_TO_ONE = {"scale": 1 / 127.5, "mean": (1.0,)}

HUB = "https://huggingface.co/timm"
TIMM_PAGES = "https://github.com/huggingface/pytorch-image-models/blob/main"
TORCHVISION_PAGES = "https://github.com/pytorch/vision/blob/main/torchvision/models"
STORAGE = "https://storage.googleapis.com/tensorflow/keras-applications"
KERAS_PAGES = "https://github.com/keras-team/keras/blob/master/keras/src/applications"
# Where the accuracies of Keras's networks were published, and how they were measured.
KERAS_TABLE = "https://keras.io/api/applications/"
OLD_KERAS_TABLE = "https://github.com/keras-team/keras-applications/blob/master/README.md"
MEASURED = "https://github.com/keras-team/keras-applications/issues/88"
SLIM = "https://github.com/tensorflow/models/blob/master/research/slim"


class Details(NamedTuple):
    """The attributes of a `Checkpoint` that follow from who has published it."""

    url: str
    layout: str
    architecture: Mapping[str, Any]
    preprocessing: Preprocessing
    sources: tuple[str, ...]
    file_name: str | None = None


def details_of(row: Published) -> Details:
    """What is known of a file beside its row."""
    return MAKERS[row.publisher](row)


def _torchvision(row: Published) -> Details:
    module = "mobilenetv2" if row.model == "MobileNetV2" else "resnet"
    return Details(
        f"https://download.pytorch.org/models/{row.file}",
        "torchvision",
        _in_torch(row),
        _prepared(row, IMAGENET),
        (f"{TORCHVISION_PAGES}/{module}.py",),
    )


def _timm(row: Published) -> Details:
    """With the names and the architecture of torchvision's."""
    return Details(
        f"{HUB}/{row.file}/resolve/{row.revision}/model.safetensors",
        "torchvision",
        _in_torch(row),
        _prepared(row, IMAGENET),
        (
            f"{HUB}/{row.file}",
            f"{TIMM_PAGES}/timm/models/resnet.py",
            f"{TIMM_PAGES}/results/results-imagenet.csv",
        ),
        f"{row.file}.safetensors",
    )


def _in_torch(row: Published) -> dict[str, Any]:
    own = {"alpha": row.alpha} if row.model == "MobileNetV2" else {"stride_on": "3x3"}
    return {"padding": "symmetric", "epsilon": 1e-5, **own}


def _keras(row: Published) -> Details:
    """With the classifier; the file serves without it too.

    Its publisher does not say how the images were resized; who measured the accuracies does.
    ResNet V2 was trained on images of 299 pixels.
    """
    if row.model == "MobileNetV2":
        architecture = {"padding": "same", "epsilon": 1e-3, "alpha": row.alpha}
        normalization, source = ONE_TO_ONE, "mobilenet_v2.py"
        measured: tuple[str, ...] = (OLD_KERAS_TABLE, MEASURED)
        if row.image_size != 224:
            measured = (f"{SLIM}/nets/mobilenet/README.md",)
    else:
        architecture = {"padding": "symmetric", "epsilon": 1.001e-5, "stride_on": "1x1"}
        normalization, source = CAFFE, "resnet.py"
        measured = (KERAS_TABLE, MEASURED)
        if row.model.endswith("V2"):
            architecture |= {"stride_on": "3x3", "stride_at": "last", "conv_bias": True}
            normalization = ONE_TO_ONE
            measured = (*measured, f"{SLIM}/README.md")
    return Details(
        f"{STORAGE}/{row.file}",
        "keras.applications",
        architecture,
        _prepared(row, normalization),
        (f"{KERAS_PAGES}/{source}", *measured),
    )


def _prepared(row: Published, normalization: Mapping[str, Any]) -> Preprocessing:
    return Preprocessing(
        (row.image_size, row.image_size),
        resize="crop",
        crop_fraction=row.crop,
        interpolation=row.interpolation,
        **normalization,
    )


MAKERS = {TORCHVISION: _torchvision, TIMM: _timm, KERAS: _keras}
