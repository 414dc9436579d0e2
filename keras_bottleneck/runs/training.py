"""`train` and `resume`: from a folder of images to a folder with a trained network."""

import os
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import keras

from keras_bottleneck import checks
from keras_bottleneck.data import ImageData, image_folder
from keras_bottleneck.models import NETWORKS
from keras_bottleneck.progress import verbosity
from keras_bottleneck.runs.card import write_card
from keras_bottleneck.runs.folder import Row, Run, checked_names, checked_new, settings_of
from keras_bottleneck.runs.keeping import Keeper, taken_up
from keras_bottleneck.training import Recipe
from keras_bottleneck.training.finetuning import MONITORS
from keras_bottleneck.training.inputs import check_data
from keras_bottleneck.training.steps import steps_in


def train(
    data: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    model: str = "ResNet18",
    *,
    image_size: int | None = None,
    augment: Sequence[str] = ("flip",),
    recipe: Recipe | None = None,
    monitor: str = "val_loss",
) -> Run:
    """Train a network on a folder of images, and keep all that came of it in another folder.

    The files of the run are described at `Run`. A training that is interrupted (Ctrl-C, a power
    cut) has lost no more than the epoch that it was in: see `resume`.

    Args:
        data: Folder with one sub-folder of images for each class.
        directory: Where the run goes; a new folder, or one without a run.
        model: A name out of `models.NETWORKS`.
        image_size: Side of the model's input in pixels; by default that which the network was made
            for.
        augment: Names of augmentations, as in `data.image_folder`.
        recipe: How to train; by default `Recipe()`. Its seed is also that of the weights and of
            the split into training and validation images.
        monitor: What tells the best epoch: "val_loss" or "val_accuracy".

    Returns:
        The finished `Run`.

    Raises:
        ValueError: If an argument is wrong, as `data.image_folder`, or the loss was finite in no
            validation.

    Example:
        >>> run = train("flowers", "run", "MobileNetV2", image_size=96)  # doctest: +SKIP
        >>> run.best  # doctest: +SKIP
        PosixPath('run/best.keras')
    """
    path = checked_new(directory)
    network = NETWORKS[checks.one_of("model", model, NETWORKS)]
    side = network.image_size if image_size is None else checks.integer("image_size", image_size)
    checks.one_of("monitor", monitor, MONITORS)
    if recipe is not None and not isinstance(recipe, Recipe):
        raise checks.reject("recipe", recipe, "a Recipe or None")
    settings = settings_of(
        recipe or Recipe(),
        data=str(Path(data).absolute()) if isinstance(data, (str, os.PathLike)) else data,
        model=model,
        image_size=side,
        augment=checked_names(augment),
        monitor=monitor,
    )
    images = _images(settings)
    fresh = _fresh(settings, images)
    return _trained(Run.planned(path, "train", settings, images), images, fresh)


def resume(directory: str | os.PathLike[str]) -> Run:
    """Go on with a training that was interrupted, after its last finished epoch.

    Weights, state of the optimizer and learning rate are those at the end of that epoch. The order
    of the images begins anew, so that the result is not bit for bit that of an uninterrupted run.

    Args:
        directory: The folder of a run of `train`. Where it is finished, nothing is trained.

    Returns:
        The finished `Run`.

    Raises:
        ValueError: If it holds no such run, or the images have other classes now; and as `train`.

    Example:
        >>> resume("run").rows()[-1]["epoch"]  # doctest: +SKIP
        10.0
    """
    run = Run.open(directory)
    if run.config["verb"] != "train":
        raise checks.reject("run", str(directory), "one of `train`: fine-tuning begins anew")
    images = _images(run.config["settings"])
    now = Run.planned(run.path, "train", run.config["settings"], images).config
    if any(now[one] != run.config[one] for one in ("classes", "images")):
        accepted = f"one whose images in {str(run.data)!r} are still the same, with their classes"
        raise checks.reject("run", str(directory), accepted)
    fresh = None if run.last.is_file() else _fresh(run.config["settings"], images)
    return _trained(run, images, fresh)


def _images(settings: dict[str, Any]) -> ImageData:
    return image_folder(
        settings["data"],
        settings["image_size"],
        settings["batch_size"],
        seed=settings["seed"] or 0,
        augment=settings["augment"],
    )


def _fresh(settings: dict[str, Any], images: ImageData) -> keras.Model:
    keras.utils.set_random_seed(settings["seed"] or 0)
    return NETWORKS[settings["model"]].build(
        input_shape=images.preprocessing.input_shape,
        classes=len(images.class_names),
        preprocessing=images.preprocessing,
    )


def _trained(run: Run, images: ImageData, fresh: keras.Model | None) -> Run:
    """Train until all epochs are done: `fresh` from the start, None for the run's last network."""
    recipe = Recipe(**{one.name: run.config["settings"][one.name] for one in fields(Recipe)})
    steps = steps_in(images.train)
    rows: list[Row] = []
    if fresh is None:
        model, rows, callbacks = taken_up(run, recipe, steps)
    else:
        model = fresh
        check_data(model, images.train, images.validation)
        callbacks = recipe.compile(model, steps)
    if len(rows) < recipe.epochs:
        model.fit(
            images.train,
            initial_epoch=len(rows),
            epochs=recipe.epochs,
            validation_data=images.validation,
            shuffle=False,  # Keras would draw from the global random state
            verbose=verbosity(),
            callbacks=[Keeper(run, images.preprocessing, rows), *callbacks],
        )
    if run.best_row() is None:
        raise ValueError(
            "`recipe` must have a lower learning rate, because the loss was finite in no "
            f"validation. Received: learning_rate={recipe.learning_rate:g}"
        )
    write_card(run)
    return run
