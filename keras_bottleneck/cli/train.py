"""`train`: from a folder of images to a trained network."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_bottleneck import checks
from keras_bottleneck.cli import options
from keras_bottleneck.cli.exit_codes import INTERRUPTED
from keras_bottleneck.cli.outcome import Outcome

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from keras_bottleneck.distribution import Job
    from keras_bottleneck.runs import Run


@options.of_fields("Recipe")
def run(
    ctx: typer.Context,
    data: options.Data = None,
    out: Annotated[Path, typer.Option(help="New folder for the run.")] = Path("run"),
    resume: options.Resume = None,
    model: Annotated[
        str,
        typer.Option(
            autocompletion=options.models, help="Name of a network: see keras-bottleneck list."
        ),
    ] = "ResNet18",
    image_size: Annotated[
        int | None, typer.Option(help="Side of the model's input in pixels; by default 224 or 32.")
    ] = None,
    labels: options.Labels = None,
    validation: options.Validation = None,
    augment: options.Augment = "flip",
    log: options.Log = "",
    seed: options.TrainingSeed = 0,
    deterministic: options.Deterministic = True,
    distributed: Annotated[
        bool,
        typer.Option(
            "--distributed", help="Use all devices of this machine, or of all processes of a job."
        ),
    ] = False,
    **fields: Any,
) -> Outcome:
    """Train a network on a folder of images. After Ctrl-C, --resume goes on.

    The run folder holds config.json, metrics.csv, best.keras, last.keras, augmented.png, curves.png
    and README.md. With --epochs, --resume lengthens a run, a finished one, too.

    Example: keras-bottleneck train --data flowers --model MobileNetV2 --image-size 96
    """
    from keras_bottleneck import runs
    from keras_bottleneck.runs.folder import checked_new
    from keras_bottleneck.training import Recipe

    if resume is not None:
        return resumed(ctx, resume, fields["epochs"], distributed)
    if data is None:
        raise checks.reject("data", None, "given, or `resume`")
    checked_new(out, "out")
    try:
        recipe = Recipe(seed=seed, **fields)
        names = options.listed(augment) or []
        with job_of(distributed, seed) as job:
            return finished(
                runs.train(
                    data,
                    out,
                    model,
                    image_size=image_size,
                    labels=labels,
                    validation=validation,
                    augment=names,
                    log=options.listed(log) or (),
                    recipe=recipe,
                    deterministic=deterministic,
                    job=job,
                )
            )
    except KeyboardInterrupt:
        return interrupted(out)


def job_of(distributed: bool, seed: int = 0) -> "AbstractContextManager[Job]":
    """The devices to train on."""
    from keras_bottleneck.distribution import ALONE, initialize

    return initialize(seed=seed) if distributed else nullcontext(ALONE)


def resumed(ctx: typer.Context, directory: Path, epochs: int, distributed: bool = False) -> Outcome:
    """Go on with the run in a folder.

    Args:
        ctx: Of the verb.
        directory: The folder.
        epochs: How many the run shall have, where they stand on the command line.
        distributed: Whether on all devices.

    Raises:
        ValueError: If there is none, or other options stand on the command line.
    """
    from keras_bottleneck import runs

    given = options.given(ctx)
    if others := given - {"resume", "epochs", "as_json", "distributed"}:
        accepted = f"given alone, not with `{min(others)}`: a run keeps to its settings"
        raise checks.reject("resume", str(directory), accepted)
    try:
        with job_of(distributed) as job:
            wanted = epochs if "epochs" in given else None
            return finished(runs.resume(directory, job, epochs=wanted))
    except KeyboardInterrupt:
        return interrupted(directory)


def finished(run: "Run") -> Outcome:
    """What a finished run says of itself."""
    from keras_bottleneck.tasks import METRICS

    rows = run.rows()
    best = run.best_row(rows)
    figures = "no epoch was validated"
    if best is not None:
        metric = METRICS[run.task]
        figures = (
            f"epoch {best['epoch']:.0f} of {len(rows)} was best, with a validation {metric.title} "
            f"of {metric.text(best[f'val_{metric.name}'])}"
        )
    files = sorted(path.name for path in run.path.iterdir() if path.is_file())
    text = f"\n{run.path}: {figures}\nfiles: {', '.join(files)}"
    content = {"run": run.path, "files": files, "best": best, "epochs": rows}
    return Outcome(text, content, ("quantize", run.path))


def interrupted(directory: Path) -> Outcome:
    """What there is of a run that Ctrl-C has stopped."""
    from keras_bottleneck.runs import Run, is_run

    if not is_run(directory):
        content: dict[str, Any] = {"run": directory, "interrupted": True, "epochs": []}
        return Outcome("\nStopped before the training began.", content, (), INTERRUPTED)
    run = Run.open(directory)
    content = {"run": directory, "interrupted": True, "epochs": run.rows()}
    text = f"\n{directory}: {len(content['epochs'])} epochs are done and kept."
    return Outcome(text, content, (run.config["verb"], "--resume", directory), INTERRUPTED)
