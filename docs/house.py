"""The rooms of the package, what each imports, and the drawing of it: read from the sources.

A room is a folder of the package; the modules that stand beside the folders are its ground floor,
which every room may use, and is not drawn.
"""

import ast
from collections.abc import Iterator
from html import escape
from pathlib import Path

import keras_bottleneck

ROOT = Path(keras_bottleneck.__file__).parent
PACKAGE = ROOT.name

WIDTH, HEIGHT, SPACE, STOREY, MARGIN = 118, 40, 18, 84, 16
FILL, INK, LINE = "#dbeafe", "#111827", "#6b7280"


def rooms() -> dict[str, set[str]]:
    """Each room, and the rooms that its modules import."""
    found: dict[str, set[str]] = {}
    for module, imported in modules().items():
        room = _room(module)
        if room:
            others = {_room(one) for one in imported} - {room, ""}
            found[room] = found.get(room, set()) | others
    return found


def modules() -> dict[str, set[str]]:
    """Each module of the package by its dotted name, and the modules of the package it imports."""
    paths = {_name(path): path for path in sorted(ROOT.rglob("*.py"))}
    return {
        name: {module for module in _imports(path, set(paths)) if module != name}
        for name, path in paths.items()
    }


def storeys() -> list[list[str]]:
    """The rooms in storeys, the lowest first: each as high as the rooms that import it allow.

    Raises:
        ValueError: If rooms import each other in a circle.
    """
    below, depths = rooms(), dict[str, int]()
    while len(depths) < len(below):
        left = set(below) - set(depths)
        free = left - set().union(*(below[room] for room in left))
        if not free:
            raise ValueError(f"rooms import each other in a circle: {sorted(left)}")
        for room in free:
            above = [depths[one] for one in depths if room in below[one]]
            depths[room] = 1 + max(above, default=-1)
    return [
        sorted(room for room in depths if depths[room] == depth)
        for depth in reversed(range(max(depths.values()) + 1))
    ]


def drawing() -> str:
    """The rooms as an SVG image: an arrow to each room that another one rests on.

    Where a room also imports what is further below, the arrows between them say so.
    """
    levels = storeys()
    widest = max(map(len, levels))
    width = widest * (WIDTH + SPACE) - SPACE + 2 * MARGIN
    places = {}
    for height, level in enumerate(reversed(levels)):
        left = (width - len(level) * (WIDTH + SPACE) + SPACE) / 2
        for index, room in enumerate(level):
            places[room] = (left + index * (WIDTH + SPACE), MARGIN + height * STOREY)
    tall = len(levels) * STOREY - (STOREY - HEIGHT) + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{tall}" '
        f'viewBox="0 0 {width} {tall}" font-family="sans-serif" role="img" '
        'aria-label="The rooms of the package and what each imports">',
        '<defs><marker id="to" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" ',
        f'markerHeight="6" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="{LINE}"/></marker>',
        "</defs>",
    ]
    for room, others in sorted(_resting().items()):
        x, y = places[room]
        for other in sorted(others):
            to_x, to_y = places[other]
            parts.append(
                f'<path d="M{x + WIDTH / 2:g},{y + HEIGHT} L{to_x + WIDTH / 2:g},{to_y:g}" '
                f'stroke="{LINE}" fill="none" marker-end="url(#to)"/>'
            )
    for room, (x, y) in sorted(places.items()):
        parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{FILL}" '
            f'stroke="{LINE}"/><text x="{x + WIDTH / 2:g}" y="{y + HEIGHT / 2 + 5:g}" '
            f'text-anchor="middle" font-size="14" fill="{INK}">{escape(room)}</text>'
        )
    return "\n".join([*parts, "</svg>\n"])


def _resting() -> dict[str, set[str]]:
    """The imports between rooms without those that follow from the others."""
    below = rooms()

    def reached(room: str) -> set[str]:
        return below[room].union(*(reached(one) for one in below[room]))

    return {
        room: others - set().union(*(reached(one) for one in others))
        for room, others in below.items()
    }


def _room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (ROOT / parts[1]).is_dir() else ""


def _name(path: Path) -> str:
    parts = [PACKAGE, *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path: Path, known: set[str]) -> Iterator[str]:
    """The modules of the package that a file imports, anywhere but for type checkers alone."""
    nodes: list[ast.AST] = [ast.parse(path.read_text("utf-8"))]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in known else str(node.module)
        nodes += ast.iter_child_nodes(node)
