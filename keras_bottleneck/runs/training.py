"""`train`: from a folder of images to a folder with a trained network."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_bottleneck import checks
from keras_bottleneck.data import ImageData
from keras_bottleneck.distribution import ALONE, Job
from keras_bottleneck.models import NETWORKS
from keras_bottleneck.runs import lengthening, logs
from keras_bottleneck.runs.card import write_card
from keras_bottleneck.runs.folder import (
    Run,
    absolute,
    checked_names,
    checked_new,
    is_deterministic,
    settings_of,
)
from keras_bottleneck.runs.keeping import Keeper
from keras_bottleneck.runs.seeing import Augmented
from keras_bottleneck.runs.task import ACTIVATIONS, for_images, images_of
from keras_bottleneck.tasks import REGRESSION
from keras_bottleneck.training import FineTune, Recipe, loop
from keras_bottleneck.training.heads import in_units


def train(
    data: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    model: str = "ResNet18",
    *,
    image_size: int | None = None,
    augment: Sequence[str] = ("flip",),
    recipe: Recipe | None = None,
    monitor: str | None = None,
    log: Sequence[str] = (),
    deterministic: bool = True,
    labels: str | os.PathLike[str] | None = None,
    validation: str | os.PathLike[str] | None = None,
    job: Job = ALONE,
) -> Run:
    """Train a network on a folder of images, and keep all that came of it in another folder.

    The files of the run are described at `Run`. A training that is interrupted at any moment
    (Ctrl-C, a killed process, a power cut) loses no more than its last five minutes: see `resume`.

    Args:
        data: Folder of images, as `data.image_folder` takes it: sub-folders for the classes, parts
            of such, or a table. The network ends in a softmax over the classes, a sigmoid for each
            of several labels, or as many numbers as the table has.
        directory: Where the run goes; a new folder, or one without a run.
        model: A name out of `models.NETWORKS`.
        image_size: Side of the model's input in pixels; by default that which the network was made
            for.
        augment: Names of augmentations, as in `data.image_folder`.
        recipe: How to train; by default `Recipe()`. Its seed is also that of the weights and of
            the split into training and validation images.
        monitor: What tells the best epoch, instead of the recipe's `monitor`.
        log: Where the figures go beside metrics.csv: "tensorboard", into the folder of that name
            in the run's; "mlflow", with the settings, best.keras and the pictures, to where
            `MLFLOW_TRACKING_URI` says.
        deterministic: As for `Recipe.fit`: without it, a training that is taken up does not end
            with the very weights of an uninterrupted one.
        labels: CSV table of the images; None for labels.csv of `data`, where there is one.
        validation: Another folder, whose images validate; None for a part of `data`.
        job: The devices to train on, whose `with` block this is called in; all its processes see
            both folders, and process 0 writes.

    Returns:
        The finished `Run`.

    Raises:
        ValueError: If an argument is wrong, as `data.image_folder`, or the loss was finite in no
            validation.
        ImportError: If the package of a `log` is not installed.
        DistributionError: If another process of the job has ended.

    Example:
        >>> run = train("flowers", "run", "MobileNetV2", image_size=96)  # doctest: +SKIP
        >>> run.best  # doctest: +SKIP
        PosixPath('run/best.keras')
    """
    path = checked_new(directory)
    network = NETWORKS[checks.one_of("model", model, NETWORKS)]
    side = network.image_size if image_size is None else checks.integer("image_size", image_size)
    if recipe is not None and (not isinstance(recipe, Recipe) or isinstance(recipe, FineTune)):
        accepted = "a Recipe or None (a FineTune is for trained networks: see `finetune`)"
        raise checks.reject("recipe", recipe, accepted)
    recipe = recipe or Recipe()
    settings = settings_of(
        recipe if monitor is None else dataclasses.replace(recipe, monitor=monitor),
        data=str(Path(data).absolute()) if isinstance(data, (str, os.PathLike)) else data,
        model=model,
        image_size=side,
        augment=checked_names(augment),
        log=logs.checked(log) or None,
        deterministic=checks.boolean("deterministic", deterministic),
        labels=absolute(labels),
        validation=absolute(validation),
    )
    images = images_of(settings)
    return trained(Run.planned(path, "train", settings, images), images, job)


def trained(run: Run, images: ImageData, job: Job) -> Run:
    """Train until all epochs are done, from the last checkpoint of the run where there is one."""
    recipe = for_images(lengthening.recipe_of_part(run, Recipe), images)
    model = lengthening.network(run) if run.part else _fresh(run.config["settings"], images)
    size = recipe.batch_size
    train = job.divided(images.train, size, images.train_size, whole=True)
    validation = job.divided(images.validation, size, images.validation_size, whole=False)
    keeper = Keeper(run, images.preprocessing, job)
    told = [Augmented(run, images), *logs.of_run(run)] if job.process == 0 else []
    with job.watched(recipe, train, validation, run.checkpoints) as (checkpoints, guards):
        loop.train(
            recipe,
            model,
            train,
            validation,
            [keeper, *told, *guards],
            checkpoints=checkpoints,
            deterministic=is_deterministic(run),
            keep_best=keeper.keep_best,
            standing=lengthening.standing(run),
        )
    if not is_deterministic(run):
        keeper.keep_best(model)  # an epoch that was repeated may have become another
    return finish(run, told) if job.process == 0 else run


def finish(run: Run, told: Sequence[keras.callbacks.Callback]) -> Run:
    """Describe a training that is done, and let go of what it could have been taken up from.

    Args:
        run: Of which the last epoch has ended.
        told: Its callbacks; tools get the files of the run.
    """
    write_card(run)
    logs.close(told)
    run.start.unlink(missing_ok=True)
    run.checkpoints.clear()
    return run


def _fresh(settings: Mapping[str, Any], images: ImageData) -> keras.Model:
    keras.utils.set_random_seed(settings["seed"] or 0)
    model = NETWORKS[settings["model"]].build(
        input_shape=images.preprocessing.input_shape,
        classes=len(images.class_names),
        preprocessing=images.preprocessing,
        classifier_activation=ACTIVATIONS[images.task],
    )
    return in_units(model, images.targets) if images.task == REGRESSION else model
