"""`finetune`: a trained network for the classes of another folder of images."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from keras_bottleneck import checks, training
from keras_bottleneck.data import image_folder
from keras_bottleneck.export import load_model
from keras_bottleneck.image_model import model_preprocessing
from keras_bottleneck.models import NETWORKS
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.quantization import is_quantized
from keras_bottleneck.runs.card import write_card
from keras_bottleneck.runs.folder import Run, checked_new, is_run, settings_of
from keras_bottleneck.runs.keeping import Keeper
from keras_bottleneck.training import FineTune, with_new_head
from keras_bottleneck.weights import Checkpoint, find, load
from keras_bottleneck.weights.reading import READERS


def finetune(
    source: str | os.PathLike[str],
    data: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    *,
    weights: str | os.PathLike[str] | None = None,
    image_size: int | None = None,
    augment: Sequence[str] = ("flip",),
    recipe: FineTune | None = None,
) -> Run:
    """Fine-tune a trained network on a folder of images, and keep all that came of it.

    The network gets a new head where its classes are not those of the folder, and is trained by
    `training.finetune`. The files are those of `Run`.

    Args:
        source: A .keras file of `save_model`, the folder of a run, or a name out of
            `models.NETWORKS`.
        data: Folder with one sub-folder of images for each class.
        directory: Where the run goes; a new folder, or one without a run.
        weights: Of a network with a name: one of its checkpoints, which is downloaded, or a file
            that `weights.load` takes; by default `"imagenet"`.
        image_size: Of a network with a name: side of its input in pixels; by default that which
            it was made for. A file has its own.
        augment: Names of augmentations, as in `data.image_folder`.
        recipe: How to train; by default `FineTune()`.

    Returns:
        The finished `Run`; it cannot be resumed.

    Raises:
        ValueError: If an argument is wrong, as `training.finetune`, or `source` does not say how
            images become its input.
        DownloadError: If the checkpoint cannot be downloaded.

    Example:
        >>> run = finetune("run", "birds", "birds_run")  # doctest: +SKIP
        >>> run = finetune("ResNet50", "birds", "birds_run", weights="imagenet_v2")
        ... # doctest: +SKIP
    """
    path = checked_new(directory)
    if recipe is not None and not isinstance(recipe, FineTune):
        raise checks.reject("recipe", recipe, "a FineTune or None")
    recipe = recipe or FineTune()
    known = str(source) in NETWORKS and not is_run(source)
    if known:
        name, weights = str(source), weights or "imagenet"
        side = NETWORKS[name].image_size if image_size is None else image_size
        checkpoint = _checkpoint(name, weights)
        preprocessing = _preprocessing(checkpoint, checks.integer("image_size", side))
    else:
        for argument, value in (("weights", weights), ("image_size", image_size)):
            if value is not None:
                accepted = "left out: a trained network has its own"
                raise checks.reject(argument, str(value), accepted)
        trained, labels, preprocessing = _trained(source)
    seed = recipe.seed or 0
    images = image_folder(
        data, None, recipe.batch_size, seed=seed, augment=augment, preprocessing=preprocessing
    )
    keras.utils.set_random_seed(seed)
    classes = len(images.class_names)
    if known:
        model = NETWORKS[name].build(
            input_shape=preprocessing.input_shape,
            classes=classes,
            preprocessing=preprocessing,
            **({} if checkpoint is None else checkpoint.architecture),
        )
        load(model, weights if checkpoint is None else checkpoint, skip_head=True)
    else:
        model = trained if labels == images.class_names else with_new_head(trained, classes)
    settings = settings_of(
        recipe,
        source=str(source) if known else str(Path(source).absolute()),
        data=str(Path(data).absolute()),
        weights=None if weights is None else str(weights),
        image_size=image_size,
        augment=list(augment),
    )
    run = Run.create(path, "finetune", settings, images)
    keeper = Keeper(run, preprocessing)
    training.finetune(model, images.train, images.validation, recipe, callbacks=[keeper])
    keeper.keep_best(model)
    write_card(run)
    return run


def _checkpoint(network: str, weights: Any) -> Checkpoint | None:
    """The checkpoint called `weights`; None where that is a file.

    Raises:
        ValueError: If it is neither.
    """
    if str(weights).lower().endswith(tuple(READERS)):
        return None
    if not NETWORKS[network].checkpoints:
        accepted = f"a file that ends in {', '.join(READERS)}: {network} has no checkpoint"
        raise checks.reject("weights", str(weights), accepted)
    checks.one_of("weights", str(weights), NETWORKS[network].checkpoints)
    return find(network, str(weights))


def _preprocessing(checkpoint: Checkpoint | None, side: int) -> Preprocessing:
    if checkpoint is None:
        return Preprocessing((side, side))
    fitted = checkpoint.preprocessing_for((side, side, checkpoint.preprocessing.channels))
    return fitted or Preprocessing((side, side))


def _trained(source: Any) -> tuple[keras.Model, tuple[str, ...] | None, Preprocessing]:
    """The network of a file or run, its labels, and its preprocessing."""
    path = Run.open(source).best if is_run(source) else source
    if not str(path).endswith(".keras"):
        accepted = "a .keras file, the folder of a run, or a name out of "
        names = ", ".join(NETWORKS) + checks.meant(source, NETWORKS)
        raise checks.reject("source", str(source), accepted + names)
    model, carried = load_model(Path(path))
    if is_quantized(model):
        raise checks.reject(
            "source", str(source), "a float model: see `distill` for quantized ones"
        )
    preprocessing = (carried and carried.preprocessing) or model_preprocessing(model)
    if preprocessing is None:
        raise checks.reject("source", str(source), "a file that carries its preprocessing")
    return model, carried.labels if carried else None, preprocessing
