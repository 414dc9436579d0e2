"""What a verb hands back, and how it is shown: for people, or as JSON."""

import contextlib
import functools
import inspect
import json
import math
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from keras_bottleneck.cli.exit_codes import DONE
from keras_bottleneck.version import __version__

out = Console()
err = Console(stderr=True)


@dataclass(frozen=True)
class Outcome:
    """The result of a verb.

    Attributes:
        shown: What rich prints: a report of the library, several, or text.
        content: What `--json` prints; see `jsonable`.
        next: The words of the command that is likely to come next, without the program's name.
        code: The exit code.
    """

    shown: Any
    content: Any
    next: tuple[object, ...] = ()
    code: int = DONE


def say(kind: str, message: str, style: str) -> None:
    """One line on stderr, such as "error: ..."."""
    line = f"{kind}: {' '.join(message.split())}"
    err.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def command(verb: Callable[..., Outcome]) -> Callable[..., int]:
    """`verb` with the option `--json`, which shows its outcome and returns its exit code."""

    @functools.wraps(verb)
    def run(as_json: bool, **arguments: Any) -> int:
        # What the libraries print while they work must not end up in the document.
        with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
            outcome = verb(**arguments)
        if as_json:
            print(json.dumps(jsonable(outcome.content), indent=1))
        else:
            _show(outcome)
        return outcome.code

    option = typer.Option("--json", help="Print one JSON document and nothing else on stdout.")
    as_json = inspect.Parameter(
        "as_json",
        inspect.Parameter.KEYWORD_ONLY,
        default=False,
        annotation=Annotated[bool, option],
    )
    signature = inspect.signature(verb, eval_str=True)
    parameters = [*signature.parameters.values(), as_json]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def show_version(asked: bool) -> None:
    """What `--version` does: print the version, and end."""
    if asked:
        print(__version__)
        raise typer.Exit


def _show(outcome: Outcome) -> None:
    shown = outcome.shown if isinstance(outcome.shown, (list, tuple)) else [outcome.shown]
    for item in shown:
        if isinstance(item, str):
            out.print(item, markup=False, highlight=False, soft_wrap=True)
        else:
            out.print(item)
    if outcome.next:
        words = shlex.join(["keras-bottleneck", *map(str, outcome.next)])
        out.print(f"\nNext: {words}", markup=False, highlight=False, soft_wrap=True)


def jsonable(value: Any) -> Any:
    """`value` as JSON can hold it: reports by their fields, paths as text, null for NaN."""
    if is_dataclass(value):
        return {field.name: jsonable(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
