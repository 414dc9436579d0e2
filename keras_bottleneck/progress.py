"""A progress bar for work that turns out to be long."""

import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

PATIENCE_S = 2.0

Item = TypeVar("Item")


def track(items: Iterable[Item], total: int | None, description: str) -> Iterator[Item]:
    """Yields `items`; a bar on stderr appears after two seconds, in terminals and notebooks only.

    Args:
        items: What to go through.
        total: How many there are; None where nobody knows.
        description: What the bar is called.
    """
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    hidden = not (console.is_terminal or console.is_jupyter)
    # Rich's own redirection would put back a stderr that others have redirected meanwhile.
    progress = Progress(
        console=console,
        transient=True,
        disable=hidden,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    task = progress.add_task(description, total=total)
    # A timer, because the very first item may be the long one.
    appear = threading.Timer(PATIENCE_S, progress.start)
    appear.daemon = True
    appear.start()
    try:
        for item in items:
            yield item
            progress.advance(task)
    finally:
        appear.cancel()
        appear.join()
        progress.stop()
