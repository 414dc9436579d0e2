"""The errors of the runtimes, in one shape."""

import importlib
from collections.abc import Sized
from pathlib import Path
from types import ModuleType

from keras_bottleneck.checks import reject
from keras_bottleneck.failures import reason


def unreadable(path: Path, kind: str, error: Exception | str) -> ValueError:
    """The error for a file that its runtime refuses, with what the runtime's own means."""
    why = error if isinstance(error, str) else reason(error)
    return reject("path", str(path), f"a whole, readable {kind} ({why})")


def need(module: str, package: str, kind: str) -> ModuleType:
    """The imported `module` of a runtime.

    Raises:
        ImportError: If it cannot be imported; the message names the pip `package`.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"Reading a {kind} needs `{package}`: pip install {package} ({error})."
        ) from None


def check_ports(path: Path, kind: str, inputs: Sized, outputs: Sized) -> None:
    """Raises ValueError unless the model in `path` has an input and an output."""
    if not inputs or not outputs:
        found = f"this one has {len(inputs)} and {len(outputs)}"
        raise unreadable(path, f"{kind} with inputs and outputs", found)
