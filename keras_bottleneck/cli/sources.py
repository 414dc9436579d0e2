"""What the library's source says, read without importing it: most of its modules import Keras."""

import ast
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


@cache
def parsed(file: Path) -> ast.Module:
    """The source in `file` as a tree."""
    return ast.parse(file.read_text("utf-8"))


def keys(file: str, table: str) -> list[str]:
    """The keys of a table: the dictionary that a module assigns to a name.

    Args:
        file: The module's, from the folder of the package.
        table: The name.

    Raises:
        LookupError: If it assigns none.
    """
    for line in parsed(PACKAGE / file).body:
        targets = line.targets if isinstance(line, ast.Assign) else [getattr(line, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == table for target in targets):
            value = getattr(line, "value", None)
            if isinstance(value, ast.Dict):
                return [str(ast.literal_eval(key)) for key in value.keys if key is not None]
    raise LookupError(f"{file} assigns no dictionary to {table}")
