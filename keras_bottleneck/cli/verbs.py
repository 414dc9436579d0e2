"""The verbs of the command, each imported when it is asked for."""

import importlib
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from keras_bottleneck import checks
from keras_bottleneck.cli import exit_codes
from keras_bottleneck.cli.outcome import command, show_version

# Each is the function `run` of the module of that name in this folder.
VERBS = (
    "demo",
    "list",
    "summary",
    "train",
    "finetune",
    "evaluate",
    "quantize",
    "export",
    "audit",
    "predict",
    "benchmark",
    "report",
    "doctor",
)
# What typer raises for words that do not parse; it exports this subclass only.
UsageError: Any = typer.BadParameter.__base__


class Verbs(TyperGroup):
    """The verbs, with a hint for a misspelt one."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in VERBS:
            return None
        verb = importlib.import_module(f"keras_bottleneck.cli.{cmd_name}")
        alone = typer.Typer(add_completion=False)
        alone.command(cmd_name)(command(verb.run))
        return typer.main.get_command(alone)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if not ctx.resilient_parsing and not args[0].startswith("-"):
            checks.one_of("verb", args[0], VERBS)
        return super().resolve_command(ctx, args)


app = typer.Typer(cls=Verbs, epilog=exit_codes.MEANING, pretty_exceptions_enable=False)


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Residual CNNs for Keras 3: train them, and ship files that have been run and compared."""
