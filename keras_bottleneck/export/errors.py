"""The error of a failed export, and how foreign errors become one."""

import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from keras_bottleneck.failures import chain, explain, reason
from keras_bottleneck.keras_here import home

PREFIX = "keras_bottleneck_"
# Logs that stay, the newest among them.
KEPT = 20


class ExportError(RuntimeError):
    """An artifact could not be written, or does not compute what the model computes."""


@contextmanager
def translated(
    what: str, layer_with: Callable[[tuple[str, ...]], str | None] | None = None
) -> Iterator[None]:
    """Make an `ExportError` of one sentence of what another library raises inside.

    Its own words, which may fill the screen, go to a log file in `log_folder()` that the sentence
    names.

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


def log_folder() -> Path:
    """Where the logs that errors point to are: `keras_bottleneck/logs` in `keras_here.home()`."""
    return home() / "keras_bottleneck" / "logs"


def _log(what: str, error: Exception) -> Path:
    """A new file with all that led to `error`; the oldest are removed."""
    led = (line for cause in chain(error) for line in (*_lines(cause), "\n"))
    text = f"{what}\n\n{''.join(led)}"
    folder = log_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = _written(text, folder)
    except OSError:  # a home that is full or read-only
        return _written(text, None)
    _remove_oldest(folder)
    return path


def _lines(error: BaseException) -> list[str]:
    return traceback.format_exception(error, chain=False)


def _written(text: str, folder: Path | None) -> Path:
    """A new file in `folder`, by default in the system's for temporary ones."""
    begin = f"{PREFIX}{time.strftime('%Y%m%d_%H%M%S')}_"
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", prefix=begin, suffix=".log", dir=folder, delete=False
    ) as file:
        file.write(text)
    return Path(file.name)


def _remove_oldest(folder: Path) -> None:
    """Leaves the newest `KEPT`; other processes may do the same meanwhile."""
    dated = []
    for path in folder.glob(f"{PREFIX}*.log"):
        with suppress(OSError):
            dated.append((path.stat().st_mtime_ns, path))
    for _, path in sorted(dated)[:-KEPT]:
        with suppress(OSError):
            path.unlink()
