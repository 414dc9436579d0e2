"""`finetune`: a trained network for the classes of other images."""

from pathlib import Path
from typing import Annotated

import typer

from keras_bottleneck import checks
from keras_bottleneck.cli import options
from keras_bottleneck.cli.outcome import Outcome
from keras_bottleneck.cli.train import finished, interrupted, resumed


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
    out: Annotated[Path, typer.Option(help="Folder for the run, a new one.")] = Path("finetuned"),
    resume: options.Resume = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Of a network with a name: checkpoint or file; by default imagenet."),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Of a network with a name: side in pixels.")
    ] = None,
    augment: options.Augment = "flip",
    epochs: Annotated[int, typer.Option(help="Of the last phase.")] = 10,
    head_epochs: Annotated[int, typer.Option(help="Of the head alone, at first.")] = 2,
    stage_epochs: Annotated[int, typer.Option(help="Of each phase in between.")] = 1,
    stages: Annotated[
        int | None, typer.Option(help="How many are trained, from the top; by default all.")
    ] = None,
    stage_rate: Annotated[
        float, typer.Option(help="Learning rate as a share of that one stage on.")
    ] = 0.5,
    batch_norm: Annotated[str, typer.Option(help="frozen, trained or recalibrated.")] = "frozen",
    patience: Annotated[
        int | None, typer.Option(help="Validations without a better one that end a phase.")
    ] = 3,
    batch_size: options.BatchSize = 32,
    optimizer: options.Optimizer = "adamw",
    learning_rate: options.LearningRate = 1e-3,
    momentum: options.Momentum = 0.9,
    warmup_epochs: options.WarmupEpochs = 1.0,
    weight_decay: options.WeightDecay = 0.05,
    label_smoothing: options.LabelSmoothing = 0.1,
    ema: options.Ema = None,
    mixed_precision: options.MixedPrecision = None,
    monitor: options.Monitor = "val_loss",
    seed: options.TrainingSeed = 0,
) -> Outcome:
    """Fine-tune a trained network on other images: first a new head, then stage after stage.

    Ctrl-C stops it so that --resume goes on.

    Example: keras-bottleneck finetune run --data birds --out birds_run
    """
    from keras_bottleneck import runs
    from keras_bottleneck.runs.folder import checked_new
    from keras_bottleneck.training import FineTune

    if resume is not None:
        return resumed(ctx, resume)
    if source is None or data is None:
        missing = "source" if source is None else "data"
        raise checks.reject(missing, None, "given, or `resume`")
    checked_new(out, "out")
    recipe = FineTune(
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        learning_rate=learning_rate,
        momentum=momentum,
        warmup_epochs=warmup_epochs,
        weight_decay=weight_decay,
        label_smoothing=label_smoothing,
        ema=ema,
        mixed_precision=mixed_precision,
        seed=seed,
        head_epochs=head_epochs,
        stage_epochs=stage_epochs,
        stages=stages,
        stage_rate=stage_rate,
        batch_norm=batch_norm,
        patience=patience,
        monitor=monitor,
    )
    names = options.listed(augment) or []
    try:
        return finished(
            runs.finetune(
                source,
                data,
                out,
                weights=weights,
                image_size=image_size,
                augment=names,
                recipe=recipe,
            )
        )
    except KeyboardInterrupt:
        return interrupted(out)
