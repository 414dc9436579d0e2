"""The error of a failed export, and how foreign errors become one."""

import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_bottleneck.failures import chain, explain, reason


class ExportError(RuntimeError):
    """An artifact could not be written, or does not compute what the model computes."""


@contextmanager
def translated(
    what: str, layer_with: Callable[[tuple[str, ...]], str | None] | None = None
) -> Iterator[None]:
    """Make an `ExportError` of one sentence of what another library raises inside.

    Its own words, which may fill the screen, go to a log file that the sentence names.

    Args:
        what: What is being done, such as "ONNX conversion of 'resnet18'".
        layer_with: Gives the name of a layer that makes one of these TensorFlow operators.

    Raises:
        ExportError: If something is raised inside, but for a runtime that is not installed
            (ImportError) and a file that cannot be written (OSError).
    """
    try:
        yield
    except ExportError:
        raise
    except Exception as error:  # converters and runtimes raise whatever they raise
        known = explain(error)
        if known is None and _speaks_for_itself(error):
            raise
        why = reason(error)
        operators = known.groups.get("operators", ()) if known else ()
        layer = layer_with(operators) if layer_with and operators else None
        if known and layer:
            why = why.replace(known.sentence, f"{known.sentence}, which layer {layer!r} needs", 1)
        raise ExportError(
            f"{what} failed: {why}. The library's own words are in {_log(what, error)}."
        ) from None


def _speaks_for_itself(error: Exception) -> bool:
    """Whether it is a file that cannot be written, or a runtime that `runtime` misses by name."""
    missing = isinstance(error, ImportError) and not isinstance(error, ModuleNotFoundError)
    return missing or isinstance(error, OSError)


def _log(what: str, error: Exception) -> Path:
    """A new file with all that led to `error`."""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", prefix="keras_bottleneck_", suffix=".log", delete=False
    ) as file:
        file.write(f"{what}\n\n")
        for one in chain(error):
            file.writelines(traceback.format_exception(one, chain=False))
            file.write("\n")
    return Path(file.name)
