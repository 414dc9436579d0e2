"""Options that several verbs have, and what completes them in the shell."""

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, TypeVar

import typer
from rich.markup import escape

from keras_bottleneck import checks
from keras_bottleneck.cli import sources

NAMED = "data/named_augmentations.py"
LOGS = "runs/logs.py"


def models(incomplete: str) -> list[str]:
    """The names of networks that begin with `incomplete`."""
    from keras_bottleneck.networks import NETWORKS

    return [name for name in NETWORKS if name.startswith(incomplete)]


def formats(incomplete: str) -> list[str]:
    """The formats that complete the last of several that are separated by commas."""
    return _last_of(incomplete, sources.keys("export/formats.py", "FORMATS"))


def targets(incomplete: str) -> list[str]:
    """The devices that begin with `incomplete`."""
    names = sources.keys("analysis/targets.py", "TARGETS")
    return [name for name in names if name.startswith(incomplete)]


def augmentations(incomplete: str) -> list[str]:
    """The augmentations that complete the last of several that are separated by commas."""
    return _last_of(incomplete, sources.keys(NAMED, "AUGMENTATIONS"))


def logs(incomplete: str) -> list[str]:
    """The tools that complete the last of several that are separated by commas."""
    return _last_of(incomplete, sources.keys(LOGS, "LOGS"))


def _last_of(incomplete: str, names: Iterable[str]) -> list[str]:
    *before, last = incomplete.split(",")
    return [",".join([*before, name]) for name in names if name.startswith(last)]


Verb = TypeVar("Verb", bound=Callable[..., Any])
TRAINING = sources.PACKAGE / "training" / "__init__.py"

Data = Annotated[
    Path | None,
    typer.Option(
        help="Folder with one sub-folder of images per class, or those of parts, or a labels.csv.",
        show_default=False,
    ),
]
RunData = Annotated[
    Path | None,
    typer.Option(
        help="Folder with one sub-folder of images per class; by default that of the run."
    ),
]
Trained = Annotated[
    Path, typer.Argument(help="Folder of a run, or a .keras file.", show_default=False)
]
Artifact = Annotated[
    Path,
    typer.Argument(
        help="Folder of a run; a .keras, .tflite or .onnx file; or a SavedModel.",
        show_default=False,
    ),
]
Augment = Annotated[
    str,
    typer.Option(
        autocompletion=augmentations,
        help=f"Any of {', '.join(sources.keys(NAMED, 'AUGMENTATIONS'))}, separated by commas.",
    ),
]
Log = Annotated[
    str,
    typer.Option(
        autocompletion=logs,
        help=f"Log also to {' or '.join(sources.keys(LOGS, 'LOGS'))}, separated by commas.",
        show_default=False,
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        help="CSV table of the images; by default labels.csv of --data.", show_default=False
    ),
]
Validation = Annotated[
    Path | None,
    typer.Option(help="Another folder of validation images; by default a part of the first."),
]
Seed = Annotated[
    int | None,
    typer.Option(help="Seed that the training split the folder with; by default that of the run."),
]
Deterministic = Annotated[
    bool,
    typer.Option(help="Make --resume end with exactly the same weights; slower on a GPU."),
]
TrainingSeed = Annotated[
    int, typer.Option(help="Seed of the split, the order, the augmentation and the weights.")
]
Resume = Annotated[
    Path | None,
    typer.Option(help="Folder of a run to go on with; one that is done, with more --epochs."),
]
BatchSize = Annotated[int, typer.Option(help="Images per batch.")]
ImageSize = Annotated[
    int | None, typer.Option(help="Side of the images in pixels, if the model takes any size.")
]


def listed(text: str | None) -> list[str] | None:
    """The names in `text`, which commas separate; None where it is not given."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def counts(name: str, text: str) -> list[int]:
    """The numbers in `text`, which commas separate.

    Raises:
        ValueError: If there is anything else in it.
    """
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise checks.reject(name, text, "whole numbers, separated by commas") from None


def pairs(text: str) -> dict[str, float]:
    """The numbers of names in `text`, such as "cat=2,dog=0.5".

    Raises:
        ValueError: If there is anything else in it.
    """
    entries = [entry.rpartition("=") for entry in text.split(",")]
    try:
        return {name.strip(): float(number) for name, _, number in entries}
    except ValueError:
        raise typer.BadParameter("give pairs such as cat=2,dog=0.5") from None


def given(ctx: typer.Context) -> set[str]:
    """The options and arguments that stand on the command line."""
    origins = {name: ctx.get_parameter_source(name) for name in ctx.params}
    return {
        name
        for name, origin in origins.items()
        if origin is not None and origin.name == "COMMANDLINE"
    }


def of_fields(name: str, file: Path = TRAINING) -> Callable[[Verb], Verb]:
    """A decorator: the verb gets an option for each field of a dataclass, as its `**` arguments.

    Defaults and help are those of the class. What the verb has an argument of its own for is left
    out.

    Args:
        name: The class, such as "Recipe".
        file: The module that it is in.
    """

    def decorated(verb: Verb) -> Verb:
        signature = inspect.signature(verb, eval_str=True)
        *own, rest = signature.parameters.values()
        if rest.kind is not inspect.Parameter.VAR_KEYWORD:
            raise TypeError(f"{verb.__module__} takes no ** arguments for the fields of {name}")
        taken = {parameter.name for parameter in own}
        options = [
            _option(field) for field in sources.fields(file, name) if field.name not in taken
        ]
        verb.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[*own, *options]
        )
        return verb

    return decorated


def _option(field: sources.Field) -> inspect.Parameter:
    """The option for a field; one that may be None takes the word "none", too.

    Of one that may be a mapping, it takes pairs such as "cat=2,dog=0.5".
    """
    optional = NoneType in field.kinds
    kind = next(candidate for candidate in field.kinds if candidate is not NoneType)

    def parse(text: Any) -> Any:
        if str(text).lower() == "none":
            return None
        return pairs(text) if dict in field.kinds and "=" in str(text) else kind(text)

    parse.__name__ = kind.__name__
    declared = typer.Option(help=escape(field.help), parser=parse if optional else None)
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=field.default,
        annotation=Annotated[kind, declared],
    )
