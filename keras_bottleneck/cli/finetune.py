"""`finetune`: a trained network for the classes of other images."""

from pathlib import Path
from typing import Annotated, Any

import typer

from keras_bottleneck import checks
from keras_bottleneck.cli import options
from keras_bottleneck.cli.outcome import Outcome
from keras_bottleneck.cli.train import finished, interrupted, resumed


@options.of_fields("FineTune")
def run(
    ctx: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(
            autocompletion=options.models,
            help="Folder of a run, a .keras file, or the name of a network.",
            show_default=False,
        ),
    ] = None,
    data: options.Data = None,
    out: Annotated[Path, typer.Option(help="New folder for the run.")] = Path("finetuned"),
    resume: options.Resume = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Checkpoint or file for a network given by name; by default imagenet."),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Side of the images in pixels, for a network given by name.")
    ] = None,
    labels: options.Labels = None,
    validation: options.Validation = None,
    augment: options.Augment = "flip",
    log: options.Log = "",
    seed: options.TrainingSeed = 0,
    deterministic: options.Deterministic = True,
    **fields: Any,
) -> Outcome:
    """Fine-tune a trained network on other images: first a new head, then stage after stage.

    After Ctrl-C, --resume goes on.

    Example: keras-bottleneck finetune run --data birds --out birds_run
    """
    from keras_bottleneck import runs
    from keras_bottleneck.runs.folder import checked_new
    from keras_bottleneck.training import FineTune

    if resume is not None:
        return resumed(ctx, resume, fields["epochs"])
    if source is None or data is None:
        missing = "source" if source is None else "data"
        raise checks.reject(missing, None, "given, or `resume`")
    checked_new(out, "out")
    recipe = FineTune(seed=seed, **fields)
    names = options.listed(augment) or []
    try:
        return finished(
            runs.finetune(
                source,
                data,
                out,
                weights=weights,
                image_size=image_size,
                labels=labels,
                validation=validation,
                augment=names,
                log=options.listed(log) or (),
                recipe=recipe,
                deterministic=deterministic,
            )
        )
    except KeyboardInterrupt:
        return interrupted(out)
