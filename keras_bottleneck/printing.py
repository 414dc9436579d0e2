"""Rich tables as plain text, for `print` and logs."""

import io
from typing import Any

WIDTH = 100


class Printable:
    """Shows its `__rich__` table where it is printed without rich."""

    def __rich__(self) -> Any:
        raise NotImplementedError

    def __str__(self) -> str:
        from rich.console import Console

        text = io.StringIO()
        Console(file=text, width=WIDTH).print(self.__rich__())
        return text.getvalue().rstrip()
