"""The verbs, their options, and how errors reach the user."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from keras_bottleneck import checks

EXIT_FAILED = 1
EXIT_WRONG_CALL = 2

app = typer.Typer(
    help="Residual CNNs for Keras 3: train them, and ship files that have been run and compared.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console()
err = Console(stderr=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0 is success, 1 a job that failed (an artifact out of tolerance, an audit with problems), 2 a
    call that was wrong. Errors of the library are one sentence on stderr.
    """
    from keras_bottleneck.export import ExportError

    try:
        app(arguments)
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else EXIT_FAILED
    except ExportError as error:
        _say(str(error))
        return EXIT_FAILED
    except (ValueError, ImportError) as error:
        _say(str(error))
        return EXIT_WRONG_CALL
    except OSError as error:
        _say(f"{error.strerror}: {error.filename}")
        return EXIT_FAILED
    return 0


def _say(message: str) -> None:
    err.print(f"error: {message}", style="red", markup=False, highlight=False, soft_wrap=True)


def entry_point() -> None:
    """What the installed command runs."""
    sys.exit(main())


@app.command()
def demo(
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for the files.")] = Path("demo"),
    epochs: Annotated[int, typer.Option(help="Passes over the 1,438 training scans.")] = 8,
) -> None:
    """Train a small ResNet on real scans of digits, export every format, run and compare each.

    Takes about two minutes on two cores. Example: keras-bottleneck demo
    """
    from keras_bottleneck.cli.demo import run_demo

    _folder("out", out_dir)
    report = run_demo(out_dir, epochs)
    out.print(report)
    _next("audit", report["tflite"].path)


@app.command()
def train(
    data: Annotated[Path, typer.Option(help="Folder with one sub-folder of images per class.")],
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for the model.")] = Path("run"),
    model: Annotated[str, typer.Option(help="ResNet18 ... ResNet152 or MobileNetV2.")] = "ResNet18",
    image_size: Annotated[int, typer.Option(help="Side of the model's input in pixels.")] = 224,
    epochs: Annotated[int, typer.Option(help="Passes over the training images.")] = 10,
    batch_size: Annotated[int, typer.Option(help="Images in a batch.")] = 32,
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 1e-3,
    augment: Annotated[str, typer.Option(help="flip, crop, rand_augment, mixup; commas.")] = "flip",
    mixed_precision: Annotated[str | None, typer.Option(help="mixed_bfloat16, for one.")] = None,
    seed: Annotated[int, typer.Option(help="Of split, order, augmentation and weights.")] = 0,
) -> None:
    """Train a network on a folder of images and save it with its labels and preprocessing.

    Example: keras-bottleneck train --data flowers --model MobileNetV2 --image-size 96
    """
    from keras_bottleneck.cli.training import BUILDERS, train_folder
    from keras_bottleneck.training import Recipe

    checks.one_of("model", model, BUILDERS)
    _folder("out", out_dir)
    recipe = Recipe(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        mixed_precision=mixed_precision,
        seed=seed,
    )
    names = tuple(name.strip() for name in augment.split(",") if name.strip())
    path = train_folder(data, out_dir, model, image_size, names, recipe)
    exported = out_dir / "exported"
    _next("export", path, "--out", exported, "--data", data, "--seed", seed)


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="A .keras file.")],
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for the files.")],
    format: Annotated[str, typer.Option(help="Formats; commas.")] = "saved_model,tflite,onnx",
    data: Annotated[
        Path | None, typer.Option(help="Image folder to compare on, as for train.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The one of `train`, for the same split.")] = 0,
    image_size: Annotated[
        int | None, typer.Option(help="Side in pixels, if the model takes any.")
    ] = None,
) -> None:
    """Write a .keras model as SavedModel, TFLite or ONNX files, run each, and compare.

    Example: keras-bottleneck export run/resnet18.keras --out exported --data flowers
    """
    from keras_bottleneck.cli.exporting import export_file

    formats = [name.strip() for name in format.split(",") if name.strip()]
    report = export_file(model, out_dir, formats, data, seed, image_size)
    out.print(report)
    for artifact in report.artifacts:
        if artifact.path.is_file():
            _next("audit", artifact.path)
            break


@app.command()
def audit(path: Annotated[Path, typer.Argument(help="A .tflite or .onnx file.")]) -> None:
    """List a file's operators and types; exit code 1 if it will not run on every device.

    Example: keras-bottleneck audit exported/resnet18.tflite
    """
    from keras_bottleneck.export import audit as audit_file

    report = audit_file(path)
    out.print(report)
    if report.problems:
        raise typer.Exit(EXIT_FAILED)


def _folder(name: str, path: Path) -> None:
    """Make the folder for the results before hours of work go into them."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise checks.reject(name, str(path), f"a folder or a new path ({error.strerror})") from None


def _next(*words: object) -> None:
    command = shlex.join(["keras-bottleneck", *map(str, words)])
    out.print(f"\nNext: {command}", markup=False, highlight=False, soft_wrap=True)
