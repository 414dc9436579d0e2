"""Recipes: how a classifier is trained and fine-tuned, for every Keras backend."""

from keras_bottleneck.training.batch_norm import recalibrate_batch_norm
from keras_bottleneck.training.checkpoints import Checkpoints
from keras_bottleneck.training.finetuning import FineTune, finetune
from keras_bottleneck.training.freezing import freeze
from keras_bottleneck.training.heads import with_new_head
from keras_bottleneck.training.health import HealthCheck
from keras_bottleneck.training.inputs import check_fit, check_range
from keras_bottleneck.training.losses import SmoothedCrossentropy
from keras_bottleneck.training.metrics import Accuracy
from keras_bottleneck.training.precision import set_mixed_precision
from keras_bottleneck.training.recipe import Recipe
from keras_bottleneck.training.stages import parts

__all__ = [
    "Accuracy",
    "Checkpoints",
    "FineTune",
    "HealthCheck",
    "Recipe",
    "SmoothedCrossentropy",
    "check_fit",
    "check_range",
    "finetune",
    "freeze",
    "parts",
    "recalibrate_batch_norm",
    "set_mixed_precision",
    "with_new_head",
]
