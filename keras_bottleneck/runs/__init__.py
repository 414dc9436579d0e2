"""Trainings as folders: what was asked for, what came of it, and the trained network."""

from keras_bottleneck.runs.finetuning import finetune
from keras_bottleneck.runs.folder import Run, is_run
from keras_bottleneck.runs.resuming import resume
from keras_bottleneck.runs.training import train

__all__ = ["Run", "finetune", "is_run", "resume", "train"]
