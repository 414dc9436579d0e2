"""What is shown in terminals: progress bars for work that turns out to be long, and tables."""

import io
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

PATIENCE_S = 2.0
# Columns of tables that are printed without rich.
WIDTH = 100

Item = TypeVar("Item")


def track(items: Iterable[Item], total: int | None, description: str) -> Iterator[Item]:
    """Yields `items`; a bar on stderr appears after two seconds, in terminals and notebooks only.

    Args:
        items: What to go through.
        total: How many there are; None where nobody knows.
        description: What the bar is called.
    """
    with _bar(description, total) as advance:
        for item in items:
            yield item
            advance(1)


def track_bytes(
    chunks: Iterable[bytes], total: int | None, description: str, done: int = 0
) -> Iterator[bytes]:
    """Yields `chunks` as `track` does; the bar counts their bytes and shows their speed.

    Args:
        chunks: What to go through.
        total: How many bytes there are, `done` included; None where nobody knows.
        description: What the bar is called.
        done: How many bytes are there already.
    """
    from rich import progress

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with _bar(description, total, done, *columns) as advance:
        for chunk in chunks:
            yield chunk
            advance(len(chunk))


@contextmanager
def _bar(
    description: str, total: int | None, done: int = 0, *columns: Any
) -> Iterator[Callable[[int], None]]:
    """Gives the function that moves the bar on; without `columns` the bar has rich's usual ones."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    hidden = not (console.is_terminal or console.is_jupyter)
    # Rich's own redirection would put back a stderr that others have redirected meanwhile.
    progress = Progress(
        *columns,
        console=console,
        transient=True,
        disable=hidden,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    task = progress.add_task(description, total=total, completed=done)
    # A timer, because the very first item may be the long one.
    appear = threading.Timer(PATIENCE_S, progress.start)
    appear.daemon = True
    appear.start()
    try:
        yield lambda amount: progress.advance(task, amount)
    finally:
        appear.cancel()
        appear.join()
        progress.stop()


def verbosity() -> int:
    """How `fit` shows its progress: 1, a bar, in terminals and notebooks; else 2, a line an epoch.

    Keras draws its bar in colours, and into files and pipes a line for each step.
    """
    from rich.console import Console

    console = Console()
    colours = console.is_terminal and not console.no_color
    return 1 if colours or console.is_jupyter else 2


class Printable:
    """Shows its `__rich__` table where it is printed without rich."""

    def __rich__(self) -> Any:
        raise NotImplementedError

    def __str__(self) -> str:
        from rich.console import Console

        text = io.StringIO()
        # In a notebook, rich would show the table itself, and write nothing.
        Console(file=text, width=WIDTH, force_jupyter=False).print(self.__rich__())
        return text.getvalue().rstrip()
