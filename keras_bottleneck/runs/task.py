"""The images of a run, and what follows from them: its head, the weights of its classes."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from keras_bottleneck.data import ImageData, image_folder
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.runs.folder import Kind
from keras_bottleneck.tasks import CLASSIFICATION, MULTI_LABEL, REGRESSION
from keras_bottleneck.training.class_weights import BALANCED, named, weights_for

# What the head of a network ends in.
ACTIVATIONS = {CLASSIFICATION: "softmax", MULTI_LABEL: "sigmoid", REGRESSION: None}


def images_of(settings: Mapping[str, Any], preprocessing: Preprocessing | None = None) -> ImageData:
    """The images that the settings of a run describe.

    Args:
        settings: The arguments of the training.
        preprocessing: That of a trained network; None for that which follows from the size of the
            images.
    """
    return image_folder(
        settings["data"],
        settings["image_size"] if preprocessing is None else None,
        settings["batch_size"],
        seed=settings["seed"] or 0,
        augment=settings["augment"],
        preprocessing=preprocessing,
        labels=settings.get("labels"),
        validation=settings.get("validation"),
        task=settings.get("task"),
    )


def for_images(recipe: Kind, images: ImageData) -> Kind:
    """`recipe` for the task of `images`, with weights by the indices of their classes.

    Raises:
        ValueError: If the recipe has weights for a class that the images do not have.
    """
    weights = named(recipe.class_weights, images.class_names)
    if weights == BALANCED and images.task == CLASSIFICATION:
        # Of all images: each process of a job reads a part of them.
        factors = weights_for(weights, images.train, len(images.class_names)) or []
        weights = dict(enumerate(factors))
    return dataclasses.replace(recipe, task=images.task, class_weights=weights)
