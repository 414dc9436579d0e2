"""What the library's source says, read without importing it: most of its modules import Keras."""

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any

PACKAGE = Path(__file__).parents[1]
# What the annotation of a field may be made of, with `|` between them.
TYPES = {
    "bool": bool,
    "int": int,
    "float": float,
    "str": str,
    "Mapping[Any, float]": dict,
    "None": NoneType,
}


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


@dataclass(frozen=True)
class Field:
    """A field of a dataclass.

    Attributes:
        name: Its name.
        kinds: The types of its annotation.
        default: Its default.
        help: What the docstring of the class says of it, on one line; "" for nothing.
    """

    name: str
    kinds: tuple[type, ...]
    default: Any
    help: str


def fields(file: Path, name: str) -> list[Field]:
    """The fields of a dataclass as `dataclasses.fields` lists them, with their help.

    Args:
        file: The module that defines the class, or imports it from a module of this package.
        name: The class.

    Raises:
        LookupError: If the module has no such class, or a field has another type than `TYPES`.
        ValueError: If a field has a default that is no literal.
    """
    defined_in, tree = _class(file, name)
    by_name: dict[str, Field] = {}
    for base in tree.bases:
        if isinstance(base, ast.Name):
            by_name |= {field.name: field for field in fields(defined_in, base.id)}
    told = dict(_arguments(ast.get_docstring(tree) or ""))
    by_name |= {
        name: Field(name, field.kinds, field.default, told[name])
        for name, field in by_name.items()
        if name in told
    }
    for line in tree.body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.value:
            field = line.target.id
            kinds = tuple(TYPES[name] for name in ast.unparse(line.annotation).split(" | "))
            default = ast.literal_eval(line.value)
            by_name[field] = Field(field, kinds, default, told.get(field, ""))
    return list(by_name.values())


def _class(file: Path, name: str) -> tuple[Path, ast.ClassDef]:
    """The class that `file` calls `name`, and the module that defines it."""
    for line in parsed(file).body:
        if isinstance(line, ast.ClassDef) and line.name == name:
            return file, line
        if isinstance(line, ast.ImportFrom) and name in {alias.name for alias in line.names}:
            return _class(_file(line.module or ""), name)
    raise LookupError(f"{file} has no class {name}")


def _file(module: str) -> Path:
    """The source of a module of this package, or what lists its names."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    choices = (path.with_suffix(".py"), path / "__init__.pyi", path / "__init__.py")
    return next(choice for choice in choices if choice.is_file())


def _arguments(docstring: str) -> Iterator[tuple[str, str]]:
    """The entries of the section on arguments, each on one line."""
    section = re.search(r"^(?:Args|Attributes):\n((?:[ ]+.*\n?|\n)+)", docstring, re.MULTILINE)
    if section is None:
        return
    for entry in re.split(r"\n(?=\S)", inspect.cleandoc(section[1])):
        name, _, text = entry.partition(":")
        yield name, " ".join(text.split())
