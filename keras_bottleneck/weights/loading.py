"""`load`: trained weights from anywhere into a network of this package, all of them or none."""

import math
import warnings
from contextlib import ExitStack
from dataclasses import fields, replace
from typing import Any

import keras

from keras_bottleneck import checks
from keras_bottleneck.image_model import image_models, normalizes
from keras_bottleneck.weights.checkpoints import CHECKPOINTS, Checkpoint
from keras_bottleneck.weights.facts import VARIANTS, Facts, check_facts, checked_facts, facts_of
from keras_bottleneck.weights.layouts import OWN, Layout
from keras_bottleneck.weights.matching import Advice, places_in, planned
from keras_bottleneck.weights.networks import network_in
from keras_bottleneck.weights.reading import read
from keras_bottleneck.weights.tensors import Tensors

# Optimizers keep two more of each weight; the rest is room for names.
COPIES = 4
ROOM = 2**24
# What the refusals of `load` advise: for one part of the network, and where there are several.
ADVICE: Advice = {
    "head": "`skip_head=True` leaves the classifier as it is",
    "prefix": "`prefix` chooses one",
    "stem channels": "`adapt_stem=True` fits the first kernel to other input channels",
}


def load(
    model: keras.Model,
    source: Any,
    *,
    stride_on: str | None = None,
    padding: str | None = None,
    epsilon: float | None = None,
    skip_head: bool = False,
    adapt_stem: bool = False,
    prefix: str | None = None,
    variant: str | None = None,
) -> None:
    """Load trained weights into `model`, in place: all of them, or none if anything does not fit.

    The layout is recognised from the names of the tensors: torchvision and timm (ResNet,
    MobileNetV2), CIFAR ResNets, Hugging Face transformers (ResNet, MobileNetV2),
    keras.applications (ResNet, ResNet V2, MobileNetV2) and this package. Biases of convolutions
    that `model` lacks are absorbed by the batch norms behind them.

    Where a network strides, how it pads and its epsilon do not show in tensors. They are compared
    with `model` where the source tells them, and have to be given where it does not.

    A model that has no preprocessing, or that of another checkpoint, gets that of a checkpoint.

    Args:
        model: A network of this package, whole or flat, inside another model or not.
        source: A file (`.safetensors`; `.pth`, `.th`, `.pt` or `.bin`, for which PyTorch is needed;
            `.h5`, `.weights.h5` or `.keras`), a folder that transformers has saved, a checkpoint
            from `find`, which is downloaded, a state dict of arrays or PyTorch tensors, or a Keras
            model.
        stride_on: `"1x1"` (v1) or `"3x3"` (v1.5), the convolution of a bottleneck that strides.
        padding: `"symmetric"` (PyTorch) or `"same"` (TensorFlow).
        epsilon: Batch norm's epsilon.
        skip_head: Leave the classifier as it is.
        adapt_stem: Fit the first kernel to another number of input channels: summed over them for
            one channel, else repeated and scaled to the same sum.
        prefix: What the names of the network's tensors begin with, such as `"module.encoder_q."`,
            where there are several networks. By default the only one, whatever its prefix; a
            warning tells what was beside it.
        variant: Deprecated: `"v1"` is `stride_on="1x1"`, `"v1.5"` is `stride_on="3x3"`.

    Raises:
        ValueError: If `source` cannot be read; is of no known layout; holds several networks, of
            which `prefix` chooses none; lacks, has too much or misshapes any tensor (all are
            listed); holds NaN, infinity or a negative variance; or belongs to another architecture.
            `model` is unchanged.
        ImportError: If the package that reads such a file is not installed.
        DownloadError: If a checkpoint cannot be downloaded.

    Example:
        >>> import keras_bottleneck as kb
        >>> model = kb.ResNet50(stride_on="1x1", epsilon=1.001e-5)
        >>> load(model, keras.applications.ResNet50(weights=None))
    """
    if not isinstance(model, keras.Model):
        raise checks.reject("model", model, "a Keras model")
    checks.one_of("variant", variant, (None, *VARIANTS))
    if variant is not None:
        stride_on = _stride_on(variant, stride_on)
    said = checked_facts(stride_on, padding, epsilon)
    checks.boolean("skip_head", skip_head)
    checks.boolean("adapt_stem", adapt_stem)
    if prefix is not None and not isinstance(prefix, str):
        raise checks.reject("prefix", prefix, "a string or None")
    load_as(ADVICE, model, source, said, skip_head, adapt_stem, prefix)


def _stride_on(variant: str, stride_on: str | None) -> str:
    """What `variant` says in the word that replaces it."""
    if stride_on is not None:
        raise checks.reject("variant", variant, "None where `stride_on` is given")
    meant = VARIANTS[variant]
    warnings.warn(
        f"`variant={variant!r}` of `weights.load` is deprecated: write `stride_on={meant!r}`.",
        DeprecationWarning,
        stacklevel=3,
    )
    return meant


def load_as(
    advice: Advice,
    model: keras.Model,
    source: Any,
    said: Facts,
    skip_head: bool,
    adapt_stem: bool = False,
    prefix: str | None = None,
) -> None:
    """`load`, of checked arguments, with refusals that advise what its caller takes."""
    places = places_in(model)
    if not places:
        raise ValueError(
            f"`model` must be built, so that it has weights. Received: model={model.name!r}"
        )
    limit = COPIES * sum(4 * math.prod(place.shape) for place in places) + ROOM
    with ExitStack() as stack:
        found = read(source, limit, stack)
        found, layout = network_in(found, prefix, advice["prefix"])
        plan = planned(places, layout, found, skip_head, adapt_stem, advice)
        known = _known(layout, found, source)
        check_facts(model, known, said, found.described)
        values = [(one.place.variable, one.value()) for one in plan]
    for variable, value in values:
        variable.assign(value)
    if found.checkpoint is not None:
        _bring_preprocessing(model, found.checkpoint)


def _bring_preprocessing(model: keras.Model, checkpoint: Checkpoint) -> None:
    """Give `model` the preprocessing that the checkpoint was trained with.

    One that the user has given stays, with a warning where it scales pixels otherwise.
    """
    networks = image_models(model)
    if not networks or normalizes(networks[-1]):
        return
    network = next((one for one in networks if one.preprocessing is not None), networks[-1])
    given, shape = network.preprocessing, network.input_shape[1:]
    wanted = checkpoint.preprocessing_for(shape)
    if given is None or any(given == row.preprocessing_for(shape) for row in CHECKPOINTS):
        network.preprocessing = wanted
    elif wanted is not None and given.normalization != wanted.normalization:
        warnings.warn(
            f"Checkpoint {checkpoint.name!r} was trained on other inputs than the preprocessing of "
            f"model {model.name!r} makes: set its `preprocessing` to None before, to have that of "
            "the checkpoint.",
            stacklevel=4,
        )


def _known(layout: Layout, found: Tensors, source: Any) -> Facts:
    """What the layout and the source itself tell, the latter first."""
    if layout is OWN and isinstance(source, keras.Model):
        return facts_of(source)
    told = {name.name: getattr(found.facts, name.name) for name in fields(Facts)}
    by_layout = layout.facts
    if layout is not OWN and by_layout.stride_at is None:
        by_layout = replace(by_layout, stride_at="first")
    return replace(by_layout, **{name: one for name, one in told.items() if one is not None})
