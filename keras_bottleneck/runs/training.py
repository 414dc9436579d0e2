"""`train`: from a folder of images to a folder with a trained network."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_bottleneck import checks
from keras_bottleneck.data import ImageData, image_folder
from keras_bottleneck.distribution import ALONE, Job
from keras_bottleneck.models import NETWORKS
from keras_bottleneck.runs.card import write_card
from keras_bottleneck.runs.folder import Run, checked_names, checked_new, recipe_of, settings_of
from keras_bottleneck.runs.keeping import Keeper
from keras_bottleneck.training import HealthCheck, Recipe
from keras_bottleneck.training.finetuning import MONITORS
from keras_bottleneck.training.inputs import check_data
from keras_bottleneck.training.resuming import Progress, fit
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
    job: Job = ALONE,
) -> Run:
    """Train a network on a folder of images, and keep all that came of it in another folder.

    The files of the run are described at `Run`. A training that is interrupted at any moment
    (Ctrl-C, a killed process, a power cut) loses no more than its last five minutes: see `resume`.
    TensorFlow is made to compute deterministically for that, as by `Recipe.fit` with checkpoints.

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
        job: The devices to train on, whose `with` block this is called in; all its processes see
            both folders, and process 0 writes.

    Returns:
        The finished `Run`.

    Raises:
        ValueError: If an argument is wrong, as `data.image_folder`, or the loss was finite in no
            validation.
        DistributionError: If another process of the job has ended.

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
    images = images_of(settings)
    return trained(Run.planned(path, "train", settings, images), images, job)


def images_of(settings: Mapping[str, Any]) -> ImageData:
    """The images of a run of `train`."""
    return image_folder(
        settings["data"],
        settings["image_size"],
        settings["batch_size"],
        seed=settings["seed"] or 0,
        augment=settings["augment"],
    )


def trained(run: Run, images: ImageData, job: Job) -> Run:
    """Train until all epochs are done, from the last checkpoint of the run where there is one."""
    recipe = recipe_of(run, Recipe)
    model = _fresh(run.config["settings"], images)
    health = HealthCheck(check_data(model, images.train, images.validation))
    size = recipe.batch_size
    train = job.divided(images.train, size, images.train_size, whole=True)
    validation = job.divided(images.validation, size, images.validation_size, whole=False)
    steps = steps_in(train)
    with job.watched(recipe, train, validation, run.checkpoints) as (checkpoints, guards):
        progress = Progress(checkpoints)
        progress.plan(recipe, model, train, steps, run.seed)
        progress.enter(0)
        keeper = Keeper(run, images.preprocessing, job)
        # The average of the weights is in the model between the first two.
        callbacks = [health, keeper, *recipe.compile(model, steps), *guards]
        fit(model, train, validation, recipe.epochs, callbacks, progress)
    health.check()
    if run.best_row() is None:
        raise ValueError(
            "`recipe` must have a lower learning rate, because the loss was finite in no "
            f"validation. Received: learning_rate={recipe.learning_rate:g}"
        )
    return finish(run) if job.process == 0 else run


def finish(run: Run) -> Run:
    """Describe a training that is done, and let go of what it could have been taken up from."""
    write_card(run)
    run.checkpoints.clear()
    return run


def _fresh(settings: Mapping[str, Any], images: ImageData) -> keras.Model:
    keras.utils.set_random_seed(settings["seed"] or 0)
    return NETWORKS[settings["model"]].build(
        input_shape=images.preprocessing.input_shape,
        classes=len(images.class_names),
        preprocessing=images.preprocessing,
    )
