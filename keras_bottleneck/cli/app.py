"""The command from outside: where it starts, and how what goes wrong reaches the user.

Neither typer nor rich is imported with this module, so that their absence can be a sentence.
"""

import importlib.util
import sys
import warnings

from keras_bottleneck import keras_here
from keras_bottleneck.cli import noise, variables
from keras_bottleneck.cli.backend import elsewhere
from keras_bottleneck.cli.exit_codes import FAILED, INTERRUPTED, WRONG_CALL

PROGRAM = "keras-bottleneck"
# What the command itself is made of; pip knows both by these names.
OWN = ("typer", "rich")
# Packages that pip knows by another name than Python.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "ai_edge_litert": "ai-edge-litert",
    "sklearn": "scikit-learn",
    "tf2onnx": "tf2onnx onnx",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code, as `exit_codes.MEANING` explains them.

    Errors are one sentence on stderr, warnings too.

    Args:
        arguments: Those behind the name of the program; by default those of this process.
    """
    for package in OWN:
        if importlib.util.find_spec(package) is None:
            print(f"error: {_install(package)}", file=sys.stderr)
            return WRONG_CALL
    import typer

    from keras_bottleneck.cli.outcome import say
    from keras_bottleneck.cli.verbs import UsageError, app

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
            say("error", _unimportable(error), "red")
            return WRONG_CALL
        except ValueError as error:
            say("error", str(error), "red")
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


def _unimportable(error: ImportError) -> str:
    """The sentence for what cannot be imported, with what to install."""
    if error.name is None:  # a sentence of this package
        return str(error)
    package = error.name.partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and importlib.util.find_spec(package) is None:
        return _install(package)
    return keras_here.failure() or str(error)


def _install(package: str) -> str:
    return f"this needs `{package}`: pip install {DISTRIBUTIONS.get(package, package)}"


def _warn(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    from keras_bottleneck.cli.outcome import say

    say("warning", str(message), "yellow")


def entry_point() -> None:
    """What the installed command runs."""
    words = sys.argv[1:]
    variables.put(words)
    code = elsewhere(words)
    if code is None:
        noise.leave_out()
        code = main(words)
    sys.exit(code)
