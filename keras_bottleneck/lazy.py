"""Names of a package that are imported when they are asked for, as its `__init__.pyi` lists them.

Type checkers and editors read the same file. A name in it must not be that of a module of the
package too: the module would take its place as soon as it is imported.
"""

import ast
import importlib
import sys
from collections.abc import Callable
from pathlib import Path


def homes(init: str) -> dict[str, str]:
    """The module that each name is imported from.

    Args:
        init: The package's `__init__.py`, beside which the list is.
    """
    stub = ast.parse(Path(init).with_suffix(".pyi").read_text("utf-8"))
    imports = [line for line in stub.body if isinstance(line, ast.ImportFrom)]
    return {alias.name: line.module or "" for line in imports for alias in line.names}


def names(
    package: str, init: str
) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """A package's `__getattr__`, `__dir__` and `__all__`.

    Args:
        package: Its name.
        init: As for `homes`.
    """
    listed = homes(init)

    def get(name: str) -> object:
        if name not in listed:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(importlib.import_module(listed[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def everything() -> list[str]:
        return sorted({*vars(sys.modules[package]), *listed})

    return get, everything, sorted(listed)
