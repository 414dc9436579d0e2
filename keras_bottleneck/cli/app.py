"""The app: its verbs, and how what goes wrong reaches the user."""

import importlib
import sys
import warnings
from typing import Any

import typer
from typer.core import TyperGroup

from keras_bottleneck import checks, keras_here
from keras_bottleneck.cli.backend import elsewhere
from keras_bottleneck.cli.outcome import FAILED, INTERRUPTED, WRONG_CALL, command, say

PROGRAM = "keras-bottleneck"
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
EXIT_CODES = (
    "Exit codes: 0 done; 1 the job failed, or a file or network has the problems that it was "
    "looked at for; 2 the call was wrong; 130 interrupted by Ctrl-C."
)
# What typer raises for words that do not parse; it exports this subclass only.
UsageError: Any = typer.BadParameter.__base__


class Verbs(TyperGroup):
    """The verbs, with a hint for one that is misspelt."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if not ctx.resilient_parsing and not args[0].startswith("-"):
            checks.one_of("verb", args[0], VERBS)
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=Verbs,
    help="Residual CNNs for Keras 3: train them, and ship files that have been run and compared.",
    epilog=EXIT_CODES,
    pretty_exceptions_enable=False,
)
for _verb in VERBS:
    app.command(_verb)(command(importlib.import_module(f"keras_bottleneck.cli.{_verb}").run))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code, as `EXIT_CODES` explains them.

    Errors are one sentence on stderr, warnings too.

    Args:
        arguments: Those behind the name of the program; by default those of this process.
    """
    words = sys.argv[1:] if arguments is None else arguments
    with warnings.catch_warnings():
        warnings.showwarning = _warn
        # Of use to those who write the libraries, not to those who run this.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            code = app(words or ["--help"], prog_name=PROGRAM, standalone_mode=False)
        except SystemExit as done:
            return done.code if isinstance(done.code, int) else FAILED
        except (KeyboardInterrupt, typer.Abort):
            code = INTERRUPTED
        except UsageError as error:
            say("error", error.format_message(), "red")
            return WRONG_CALL
        except ImportError as error:
            say("error", keras_here.failure() or str(error), "red")
            return WRONG_CALL
        except ValueError as error:
            say("error", _of_options(str(error)), "red")
            return WRONG_CALL
        except RuntimeError as error:
            # To name ExportError and DownloadError here would import Keras.
            if not type(error).__module__.startswith("keras_bottleneck."):
                raise
            say("error", str(error), "red")
            return FAILED
        except OSError as error:
            say("error", f"{error.strerror or error}: {error.filename or 'no file named'}", "red")
            return FAILED
    if code == INTERRUPTED:
        say("interrupted", "stopped by Ctrl-C", "yellow")
    return int(code or 0)


def _of_options(message: str) -> str:
    """A sentence of the library about an argument that is another option here."""
    if not message.startswith("`directory`"):
        return message
    return message.replace("`directory`", "`out`", 1).replace("directory=", "out=", 1)


def _warn(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    say("warning", str(message), "yellow")


def entry_point() -> None:
    """What the installed command runs."""
    code = elsewhere(sys.argv[1:])
    sys.exit(main() if code is None else code)
