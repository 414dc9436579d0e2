"""The `weights` of a builder: the network follows its checkpoint, or an error says why not."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_bottleneck import checks
from keras_bottleneck.image_model import ImageModel
from keras_bottleneck.models.assembly import checked_shape
from keras_bottleneck.networks import NETWORKS
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.weights import Checkpoint, find, names, transformers_folder
from keras_bottleneck.weights.checkpoints import published
from keras_bottleneck.weights.facts import Facts, facts_of
from keras_bottleneck.weights.loading import load_as
from keras_bottleneck.weights.reading import READERS

# Of ImageNet, which all checkpoints were trained on.
CLASSES = 1000
# What the refusals of builders advise: options of `weights.load` that builders do not take.
ADVICE = {
    part: f"build without `weights` and call `weights.load(model, source, {option})`"
    for part, option in {
        "head": "skip_head=True",
        "prefix": "prefix=...",
        "stem channels": "adapt_stem=True",
    }.items()
}


@dataclass(frozen=True)
class Trained:
    """What a builder was asked to load.

    Attributes:
        weights: A checkpoint, a file, or None.
        architecture: The caller's arguments and those of the checkpoint.
        facts: What the caller's arguments state about the network in a file; None where they
            describe all of it.
    """

    weights: Checkpoint | Path | None
    architecture: Mapping[str, Any]
    facts: Facts | None = None

    def loaded(self, model: ImageModel, include_top: bool) -> ImageModel:
        """`model` with the weights; without its top, the classifier's weights are left out."""
        if self.weights is not None:
            facts, given = self.facts or facts_of(model), model.preprocessing
            load_as(ADVICE, model, self.weights, facts, skip_head=not include_top)
            # The caller's preprocessing takes precedence over that of the checkpoint.
            model.preprocessing = given or model.preprocessing
        return model


def any_file(weights: Any) -> Trained:
    """The weights of a builder whose arguments describe the whole network.

    Raises:
        ValueError: If `weights` is neither None nor a checkpoint nor a file.
    """
    if weights is None or isinstance(weights, Checkpoint):
        return Trained(weights, {})
    return Trained(_file(weights, "a file"), {})


def following(
    builder: str,
    weights: Any,
    classes: Any,
    image: Any,
    architecture: Mapping[str, Any],
) -> Trained:
    """The weights of a builder that can have checkpoints, and the architecture that they ask for.

    Args:
        builder: Name of the builder, as in the table of checkpoints.
        weights: None, the name of a checkpoint, one of `weights.CHECKPOINTS`, or a file.
        classes: Outputs of the classifier; None without one.
        image: The shape of the images, (height, width, channels); None where it is not given.
        architecture: The arguments that the caller has given.

    Raises:
        ValueError: If `weights` is none of these, or the checkpoint needs another value of an
            argument than the caller's.
    """
    if weights is None:
        return Trained(None, architecture)
    known = names(builder) if NETWORKS[builder].published else ()
    if isinstance(weights, str) and weights in known:
        size = None if image is None else checked_shape(image, "input_shape")[:2]
        alpha = architecture.get("alpha", 1.0)
        weights = find(builder, weights, alpha=alpha, image_size=size)
    source: Checkpoint | Path
    checkpoint: Checkpoint | None
    if isinstance(weights, Checkpoint):
        source = checkpoint = weights
    else:
        accepted = f"one of {', '.join(map(repr, known))}, or a file" if known else "or a file"
        source = path = _file(weights, accepted)
        checkpoint = published(path)
    if checkpoint is None:
        return Trained(source, architecture, _stated(architecture))
    if classes not in (None, CLASSES):
        raise ValueError(
            f"`classes` must be {CLASSES} with the weights of a checkpoint; for others, build "
            f"without them and call `weights.load(model, weights.find({builder!r}, "
            f"{checkpoint.name!r}), skip_head=True)`. Received: classes={classes!r}"
        )
    for name, value in checkpoint.architecture.items():
        if architecture.get(name, value) != value:
            accepted = f"{value!r}, as checkpoint {checkpoint.name!r} was trained"
            raise checks.reject(name, architecture[name], accepted)
    preprocessing = architecture.get("preprocessing") or _fitted(checkpoint, builder, image)
    if isinstance(preprocessing, Preprocessing):
        _check_normalization(preprocessing, checkpoint)
    arguments = {**architecture, **checkpoint.architecture, "preprocessing": preprocessing}
    return Trained(source, arguments)


def _fitted(checkpoint: Checkpoint, builder: str, image: Any) -> Preprocessing | None:
    """The preprocessing of the checkpoint, for images of the shape `image` where it is given."""
    if image is None:
        side = NETWORKS[builder].image_size
        return checkpoint.preprocessing_for((side, side, checkpoint.preprocessing.channels))
    shape = checked_shape(image, "input_shape")
    channels = checkpoint.preprocessing.channels
    if shape[-1] != channels:
        raise ValueError(
            f"`input_shape` must have {channels} channels with the weights of a checkpoint; for "
            f"others, build without them and call `weights.load(model, weights.find({builder!r}, "
            f"{checkpoint.name!r}), adapt_stem=True)`. Received: input_shape={image!r}"
        )
    return checkpoint.preprocessing_for(shape)


def _check_normalization(given: Preprocessing, checkpoint: Checkpoint) -> None:
    if given.normalization != checkpoint.preprocessing.normalization:
        scale, mean, std, order = checkpoint.preprocessing.normalization
        accepted = (
            f"one with scale={scale:.6g}, mean={mean}, std={std}, color_order={order!r}, as "
            f"checkpoint {checkpoint.name!r} was trained"
        )
        raise checks.reject("preprocessing", given, accepted)


def _stated(architecture: Mapping[str, Any]) -> Facts:
    """What the caller's arguments state about the network in a file."""
    return Facts(
        architecture.get("stride_on"),
        architecture.get("padding"),
        architecture.get("epsilon"),
        architecture.get("stride_at"),
    )


def _file(weights: Any, accepted: str) -> Path:
    if isinstance(weights, (str, Path)):
        path = Path(weights)
        known = path.is_file() and path.name.lower().endswith(tuple(READERS))
        if known or transformers_folder.is_folder(path):
            return path
    raise checks.reject("weights", weights, f"None, {accepted} that ends in {', '.join(READERS)}")
