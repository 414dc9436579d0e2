"""Small changes of Python source, each of which a test should notice."""

import ast
import builtins
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

OTHER_COMPARISON: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}

OTHER_OPERATOR: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Add,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}

OTHER_NAME = {
    "min": "max",
    "max": "min",
    "minimum": "maximum",
    "maximum": "minimum",
    "any": "all",
    "all": "any",
    "floor": "ceil",
    "round": "floor",
}


@dataclass(frozen=True)
class Mutant:
    """A module with one change.

    Attributes:
        file: The module's path from the root of the repository.
        start: Where the changed text starts, in characters from the start of the file.
        stop: Where it ends.
        text: What stands there instead.
        line: The line of the change, from 1.
        statement: First and last line of the statement around it; of a compound one, the header.
        scope: First and last line of the function around it, or else of the class, or the file.
        change: The change for people to read; with `file` and `line`, almost a name.
    """

    file: str
    start: int
    stop: int
    text: str
    line: int
    statement: tuple[int, int]
    scope: tuple[int, int]
    change: str

    @property
    def key(self) -> str:
        """What no two mutants of one state of the repository share."""
        return f"{self.file}:{self.line}:{self.start}: {self.change}"

    def undone(self) -> "Mutant":
        """The module without the change."""
        return replace(self, stop=self.start, text="", change="unchanged")

    def applied(self, source: str) -> str:
        """The source of the changed module."""
        return source[: self.start] + self.text + source[self.stop :]


def mutants_of(file: Path, root: Path) -> list[Mutant]:
    """All mutants of one module, in the order of its text."""
    source = file.read_text("utf-8")
    found = _Finder(str(file.relative_to(root)), source)
    found.walk(ast.parse(source))
    return sorted(found.mutants, key=lambda one: (one.start, one.stop, one.text))


class _Finder:
    """Collects mutants; annotations, docstrings, imports and the text of errors stay."""

    def __init__(self, file: str, source: str) -> None:
        self.file = file
        self.source = source
        self.mutants: list[Mutant] = []
        lines = source.splitlines(keepends=True)
        self.starts = [0]
        for line in lines:
            self.starts.append(self.starts[-1] + len(line))
        self.lines = lines
        self.scope = (1, len(lines))
        self.statement = (1, len(lines))

    def walk(self, node: ast.AST) -> None:
        outside = self.scope
        match node:
            case ast.FunctionDef() | ast.ClassDef():
                self.scope = (node.lineno, node.end_lineno or node.lineno)
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if body else node.end_lineno or node.lineno
            self.statement = (node.lineno, max(last, node.lineno))
        for new in self._changes(node):
            self._add(node, new)
        if isinstance(node, ast.If | ast.While | ast.IfExp) and not _is_flipped(node.test):
            self._add(node.test, ast.UnaryOp(ast.Not(), node.test))
        for child in _children(node):
            self.walk(child)
        self.scope = outside

    def _changes(self, node: ast.AST) -> Iterator[ast.AST]:
        """What may stand in the place of `node`."""
        match node:
            case ast.Compare(left, operators, right):
                for i, operator in enumerate(operators):
                    other = OTHER_COMPARISON[type(operator)]()
                    yield ast.Compare(left, [*operators[:i], other, *operators[i + 1 :]], right)
            # `int | None` is a type.
            case ast.BinOp(_, _, ast.Constant(None)):
                return
            case ast.BinOp(left, operator, right):
                yield ast.BinOp(left, OTHER_OPERATOR[type(operator)](), right)
            case ast.BoolOp(operator, values):
                other = ast.Or() if isinstance(operator, ast.And) else ast.And()
                yield ast.BoolOp(other, values)
            case ast.UnaryOp(ast.Not() | ast.USub(), operand):
                yield operand
            case ast.Constant(bool(value)):
                yield ast.Constant(not value)
            case ast.Constant(int(value)):
                yield ast.Constant(value + 1)
            case ast.Constant(float(value)):
                yield ast.Constant(2 * value if value else 1.0)
            case ast.Call():
                yield from self._other_calls(node)
            case ast.Return(ast.expr()) if not _is_none(node.value):
                yield ast.Return(ast.Constant(None))
            case (
                ast.Expr(ast.Call()) | ast.AugAssign() | ast.Raise() | ast.Continue() | ast.Break()
            ):
                yield ast.Pass()
            case ast.Assign([ast.Attribute() | ast.Subscript()]):
                yield ast.Pass()

    def _other_calls(self, node: ast.Call) -> Iterator[ast.AST]:
        match node.args:
            case [first, second, *rest] if not (_is_symmetric(node) or _has_starred(node)):
                yield ast.Call(node.func, [second, first, *rest], node.keywords)
        for keyword in node.keywords:
            # Without `strict`, only what never happens would go unnoticed.
            if keyword.arg not in (None, "strict"):
                kept = [one for one in node.keywords if one is not keyword]
                yield ast.Call(node.func, node.args, kept)
        match node.func:
            case ast.Name(name) if hasattr(builtins, OTHER_NAME.get(name, "")):
                yield ast.Call(ast.Name(OTHER_NAME[name]), node.args, node.keywords)
            case ast.Attribute(owner, name) if name in OTHER_NAME:
                yield ast.Call(ast.Attribute(owner, OTHER_NAME[name]), node.args, node.keywords)

    def _add(self, old: ast.AST, new: ast.AST) -> None:
        start = self._offset(old.lineno, old.col_offset)
        stop = self._offset(old.end_lineno, old.end_col_offset)
        text = ast.unparse(ast.fix_missing_locations(new))
        # What binds more loosely than the text around it must not fall apart.
        written = f"({text})" if isinstance(new, ast.expr) else text
        self.mutants.append(
            Mutant(
                self.file,
                start,
                stop,
                written,
                old.lineno,
                self.statement,
                self.scope,
                _shown(ast.unparse(old), text),
            )
        )

    def _offset(self, line: int, column: int) -> int:
        # The syntax tree counts columns in bytes.
        before = self.lines[line - 1].encode()[:column]
        return self.starts[line - 1] + len(before.decode())


def _is_flipped(test: ast.expr) -> bool:
    """Whether another mutant is the condition's opposite already."""
    match test:
        case ast.UnaryOp(ast.Not()):
            return True
        case ast.Compare(
            _, [ast.Eq() | ast.NotEq() | ast.Is() | ast.IsNot() | ast.In() | ast.NotIn()]
        ):
            return True
    return False


def _is_symmetric(node: ast.Call) -> bool:
    """Whether it does not matter which argument is the first."""
    match node.func:
        case ast.Name(name) | ast.Attribute(_, name):
            return name in ("min", "max", "minimum", "maximum")
    return False


def _has_starred(node: ast.Call) -> bool:
    return any(isinstance(argument, ast.Starred) for argument in node.args)


def _is_none(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _children(node: ast.AST) -> Iterable[ast.AST]:
    """The parts of `node` that compute something."""
    match node:
        case ast.FunctionDef():
            return [*node.args.defaults, *filter(None, node.args.kw_defaults), *node.body]
        case ast.ClassDef():
            return node.body
        case ast.AnnAssign():
            return [node.value] if node.value else []
        # An error's text is for people.
        case ast.Raise() | ast.JoinedStr() | ast.Import() | ast.ImportFrom():
            return []
    return ast.iter_child_nodes(node)


def _shown(old: str, new: str) -> str:
    """Both texts; of long ones, what differs and what stands around it."""
    if len(old) > 70:
        same = len(os.path.commonprefix([old, new]))
        left = max(same - 20, 0)
        rest = os.path.commonprefix([old[same:][::-1], new[same:][::-1]])
        right = max(len(rest) - 20, 0)
        old, new = (f"...{text[left : len(text) - right]}..." for text in (old, new))
    return " ".join(f"{old}  ->  {new}".split())
