"""`resume`: a training that was interrupted goes on."""

import os
from typing import Any

from keras_bottleneck import checks
from keras_bottleneck.data import ImageData
from keras_bottleneck.distribution import ALONE, Job
from keras_bottleneck.runs import finetuning, training
from keras_bottleneck.runs.folder import Run


def resume(directory: str | os.PathLike[str], job: Job = ALONE) -> Run:
    """Go on with a training that was interrupted, where its last checkpoint was written.

    On the same machine, its files end up as those of an uninterrupted training, to the last bit
    of every weight and of every number but the seconds.

    Args:
        directory: The folder of a run of `train` or `finetune`. Where it is finished, nothing is
            trained.
        job: As for `train`; `finetune` has one device.

    Returns:
        The finished `Run`.

    Raises:
        ValueError: If it holds no run, or the images are no longer the same; and as `train` and
            `finetune`.

    Example:
        >>> resume("run").rows()[-1]["epoch"]  # doctest: +SKIP
        10.0
    """
    run = Run.open(directory)
    if run.finished:
        return run
    settings = run.config["settings"]
    if run.config["verb"] == "finetune":
        if job is not ALONE:
            raise checks.reject("run", str(directory), "one of `train`, to be `distributed`")
        asked = [settings[name] for name in ("source", "weights", "image_size", "seed")]
        start = finetuning.start_of(*asked)
        images = finetuning.images_of(settings, start)
        _check_same(run, images)
        return finetuning.tuned(run, images, start)
    images = training.images_of(settings)
    _check_same(run, images)
    return training.trained(run, images, job)


def _check_same(run: Run, images: ImageData) -> None:
    """Refuses images that have been changed since."""
    now: Any = Run.planned(run.path, run.config["verb"], run.config["settings"], images).config
    if any(now[name] != run.config[name] for name in ("classes", "images")):
        accepted = f"one whose images in {str(run.data)!r} are still the same, with their classes"
        raise checks.reject("run", str(run.path), accepted)
