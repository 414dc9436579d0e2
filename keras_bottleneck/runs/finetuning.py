"""`finetune`: a trained network for the classes of another folder of images."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import keras

from keras_bottleneck import checks, trained_model, training
from keras_bottleneck.data import ImageData
from keras_bottleneck.models import NETWORKS
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.published import DEFAULT
from keras_bottleneck.quantization import is_quantized
from keras_bottleneck.runs import lengthening, logs
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
from keras_bottleneck.runs.training import finish
from keras_bottleneck.runtime import artifact
from keras_bottleneck.tasks import REGRESSION
from keras_bottleneck.training import FineTune, loop
from keras_bottleneck.training.heads import in_units
from keras_bottleneck.weights import find, load
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
    log: Sequence[str] = (),
    deterministic: bool = True,
    labels: str | os.PathLike[str] | None = None,
    validation: str | os.PathLike[str] | None = None,
) -> Run:
    """Fine-tune a trained network on a folder of images, and keep all that came of it.

    The network gets a new head where its classes or its task are not those of the folder, and is
    trained by `training.finetune`. The files are those of `Run`.

    Args:
        source: A .keras file of `save_model`, the folder of a run, or a name out of
            `models.NETWORKS`.
        data: Folder of images, as for `train`.
        directory: Where the run goes; a new folder, or one without a run.
        weights: Of a network with a name: one of its checkpoints, which is downloaded, or a file
            that `weights.load` takes; by default `"imagenet"`.
        image_size: Of a network with a name: side of its input in pixels; by default that which
            it was made for. A file has its own.
        augment: Names of augmentations, as in `data.image_folder`.
        recipe: How to train; by default `FineTune()`.
        log: As for `train`.
        deterministic: As for `train`.
        labels: As for `train`.
        validation: As for `train`.

    Returns:
        The finished `Run`. A training that is interrupted can be taken up: see `resume`.

    Raises:
        ValueError: If an argument is wrong, as `training.finetune`, or `source` does not say how
            images become its input.
        ImportError: If the package of a `log` is not installed.
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
    tools = logs.checked(log) or None
    start = start_of(source, weights, image_size, recipe.seed)
    settings = settings_of(
        recipe,
        source=start.source,
        data=str(Path(data).absolute()),
        weights=start.weights,
        image_size=image_size,
        augment=checked_names(augment),
        log=tools,
        deterministic=checks.boolean("deterministic", deterministic),
        labels=absolute(labels),
        validation=absolute(validation),
    )
    images = images_of(settings, start.preprocessing)
    return tuned(Run.planned(path, "finetune", settings, images), images, start)


def tuned(run: Run, images: ImageData, start: "Start") -> Run:
    """Fine-tune until all phases are done, from the last checkpoint where there is one."""
    if run.part:
        model = lengthening.network(run)
    else:
        keras.utils.set_random_seed(run.seed)
        model = start.build(images)
    keeper = Keeper(run, images.preprocessing)
    told = [Augmented(run, images), *logs.of_run(run)]
    loop.train(
        for_images(lengthening.recipe_of_part(run, FineTune), images),
        model,
        images.train,
        images.validation,
        [keeper, *told],
        checkpoints=run.checkpoints,
        deterministic=is_deterministic(run),
        keep_best=keeper.keep_best,
        standing=lengthening.standing(run),
    )
    keeper.keep_best(model)
    return finish(run, told)


class Start(NamedTuple):
    """What fine-tuning begins with.

    Attributes:
        source: A name, or an absolute path.
        weights: Of a network with a name: the name of a checkpoint, or an absolute path.
        preprocessing: How images become the network's input.
        build: From the images to the network.
    """

    source: str
    weights: str | None
    preprocessing: Preprocessing
    build: Callable[[ImageData], keras.Model]


def start_of(source: Any, weights: Any, image_size: Any, seed: int | None) -> Start:
    """What `finetune` begins with, from its arguments.

    The seed is also that of the dropout in a file, which does not hold its own.

    Raises:
        ValueError: If one of them is wrong.
    """
    keras.utils.set_random_seed(seed or 0)
    if str(source) in NETWORKS and not artifact.is_run(source):
        return _named(str(source), weights, image_size)
    return _saved(source, weights, image_size)


def _named(name: str, weights: Any, image_size: Any) -> Start:
    """A network of `NETWORKS` with the weights of a checkpoint or file."""
    network = NETWORKS[name]
    side = network.image_size if image_size is None else checks.integer("image_size", image_size)
    if weights is not None and str(weights).lower().endswith(tuple(READERS)):
        if not Path(weights).is_file():
            raise checks.reject("weights", str(weights), "an existing file, or a checkpoint")
        trained, architecture, preprocessing = weights, {}, Preprocessing((side, side))
        noted = str(Path(weights).absolute())
    elif network.checkpoints:
        wanted = DEFAULT if weights is None else str(weights)
        checks.one_of("weights", wanted, network.checkpoints)
        trained = find(name, wanted, image_size=side)
        noted = trained.name
        architecture = dict(trained.architecture)
        preprocessing = replace(trained.preprocessing, image_size=(side, side))
    else:
        accepted = f"a file that ends in {', '.join(READERS)}: {name} has no checkpoint"
        raise checks.reject("weights", weights, accepted)

    def build(images: ImageData) -> keras.Model:
        model = network.build(
            input_shape=preprocessing.input_shape,
            classes=len(images.class_names),
            preprocessing=preprocessing,
            classifier_activation=ACTIVATIONS[images.task],
            **architecture,
        )
        load(model, trained, skip_head=True)
        return in_units(model, images.targets) if images.task == REGRESSION else model

    return Start(name, noted, preprocessing, build)


def _saved(source: Any, weights: Any, image_size: Any) -> Start:
    """The network of a file or run, with its own head where the classes are the same."""
    path = artifact.network(source, "source")
    if not str(path).endswith(".keras"):
        names = ", ".join(NETWORKS) + checks.meant(source, NETWORKS)
        accepted = f"a .keras file, the folder of a run, or a name out of {names}"
        raise checks.reject("source", str(source), accepted)
    for argument, value in (("weights", weights), ("image_size", image_size)):
        if value is not None:
            raise checks.reject(argument, str(value), "left out: a trained network has its own")
    trained = trained_model.opened(Path(path), "source")
    if is_quantized(trained.model):
        accepted = "a float model (`quantization.distill` trains quantized ones)"
        raise checks.reject("source", str(source), accepted)
    preprocessing = trained.preprocessing
    if preprocessing is None:
        raise checks.reject("source", str(source), "a file that says how images become its input")

    def build(images: ImageData) -> keras.Model:
        names, task = images.class_names, images.task
        if (names, task) == (trained.labels, trained.task):
            return trained.model
        model = training.with_new_head(trained.model, len(names), ACTIVATIONS[task])
        return in_units(model, images.targets) if task == REGRESSION else model

    return Start(str(Path(source).absolute()), None, preprocessing, build)
