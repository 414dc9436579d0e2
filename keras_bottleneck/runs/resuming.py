"""`resume`: a training that was interrupted goes on."""

import os
from collections.abc import Callable
from typing import Any

from keras_bottleneck import checks
from keras_bottleneck.data import ImageData
from keras_bottleneck.distribution import ALONE, Job
from keras_bottleneck.runs import finetuning, lengthening, training
from keras_bottleneck.runs.folder import Run
from keras_bottleneck.runs.task import images_of


def resume(
    directory: str | os.PathLike[str], job: Job = ALONE, *, epochs: int | None = None
) -> Run:
    """Go on with a training that was interrupted, where its last checkpoint was written.

    On the same machine, its files end up as those of an uninterrupted training, to the last bit
    of every weight and of every number but the seconds.

    With more `epochs` than were planned, the run is lengthened: what was planned is finished first
    where it is not, then the others follow, as a part with a learning rate of its own: after a
    warm-up it begins where a training of so many epochs would stand by now, and falls to 0 along a
    half cosine. The part begins with the best weights so far, with a fresh optimizer and with other
    random numbers for dropout: it is not what a training planned with so many epochs would have
    been, but the same to the last bit whenever and however often it is interrupted. config.json and
    README.md tell of it, metrics.csv goes on, and best.keras is the best network of all epochs.

    Args:
        directory: The folder of a run of `train` or `finetune`. Where it is finished, and no
            `epochs` are added, nothing is trained.
        job: As for `train`; `finetune`, and a run that is lengthened, have one device.
        epochs: How many it shall have in all, of `finetune` in its last phase; None for those that
            it has.

    Returns:
        The finished `Run`.

    Raises:
        ValueError: If it holds no run, or the images are no longer the same, or `epochs` are no
            more than the run has; and as `train` and `finetune`.

    Example:
        >>> resume("run").rows()[-1]["epoch"]  # doctest: +SKIP
        10.0
        >>> resume("run", epochs=40).rows()[-1]["epoch"]  # doctest: +SKIP
        40.0
    """
    run = Run.open(directory)
    parts = run.lengthened if epochs is None else lengthening.with_epochs(run, epochs)
    if epochs is None and run.finished:
        return run
    if job is not ALONE and (parts or run.config["verb"] == "finetune"):
        accepted = "one of `train` that is not lengthened, to be `distributed`"
        raise checks.reject("run", str(directory), accepted)
    go_on = _trainer(run, job)
    if epochs is not None:
        run = run.with_parts(parts)
        print(list(lengthening.sentences(run))[-1])
    while not run.finished:
        run = go_on(lengthening.begin(run) if run.part_finished else run)
    return run


def _trainer(run: Run, job: Job) -> Callable[[Run], Run]:
    """What trains a run on, to the end of the part that it is at."""
    settings = run.config["settings"]
    if run.config["verb"] == "finetune":
        asked = [settings[one] for one in ("source", "weights", "image_size", "seed")]
        start = finetuning.start_of(*asked)
        tuned = images_of(settings, start.preprocessing)
        _check_same(run, tuned)
        return lambda run: finetuning.tuned(run, tuned, start)
    images = images_of(settings)
    _check_same(run, images)
    return lambda run: training.trained(run, images, job)


def _check_same(run: Run, images: ImageData) -> None:
    """Refuses images that have been changed since."""
    now: Any = Run.planned(run.path, run.config["verb"], run.config["settings"], images).config
    if any(now[one] != run.config[one] for one in ("classes", "images")):
        accepted = (
            f"one whose images in {str(run.folder.path)!r} are still the same, with their classes"
        )
        raise checks.reject("run", str(run.path), accepted)
