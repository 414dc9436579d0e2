"""Drawings of the blocks, made from the layers themselves.

A block is called on a symbolic tensor and flattened; what is drawn is the graph that comes out.
`python docs/drawings.py FOLDER` writes them without building the pages.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import keras

import keras_bottleneck as kb
from keras_bottleneck import keras_private

# What is drawn: the name of the file, the block, and the shape of its input.
DRAWINGS: dict[str, tuple[Any, tuple[int, int, int]]] = {
    "basic_block": (lambda: kb.layers.BasicBlock(64), (56, 56, 64)),
    "basic_block_stride": (lambda: kb.layers.BasicBlock(128, stride=2), (56, 56, 64)),
    "bottleneck": (lambda: kb.layers.Bottleneck(64), (56, 56, 256)),
    "bottleneck_stride": (lambda: kb.layers.Bottleneck(128, stride=2), (56, 56, 256)),
    "inverted_residual": (lambda: kb.layers.InvertedResidual(24), (56, 56, 24)),
    "inverted_residual_stride": (lambda: kb.layers.InvertedResidual(32, stride=2), (56, 56, 24)),
    "repvgg_block": (lambda: kb.layers.RepVGGBlock(64), (56, 56, 64)),
}
# How a network becomes files.
FLOW = (
    ("train", "fit"),
    ("quantize", "if you like"),
    ("write", "8 formats"),
    ("run", "each file"),
    ("compare", "with the model"),
    ("put in place", "all or nothing"),
)

WIDTH, HEIGHT, GAP, MARGIN, SPACE = 170, 46, 40, 16, 44
COLUMN = WIDTH + SPACE
SKIP = 36
COLOURS = {"conv": "#bfdbfe", "depthwise": "#bbf7d0", "add": "#fde68a", "other": "#e5e7eb"}
INK, LINE, FAINT = "#111827", "#6b7280", "#8b93a1"


@dataclass
class Box:
    """One box: what stands in it, what it reads, and where it is."""

    title: str
    kind: str
    output: Any
    inputs: list[Any]
    details: list[str] = field(default_factory=list)
    column: int = 0
    row: float = 0.0

    @property
    def x(self) -> float:
        """The middle, in pixels."""
        return MARGIN + WIDTH / 2 + self.column * COLUMN

    @property
    def y(self) -> float:
        """The upper edge, in pixels."""
        return MARGIN + self.row * (HEIGHT + GAP)


def draw(block: Any, shape: tuple[int, int, int]) -> str:
    """The block as an SVG drawing."""
    image = keras.Input(shape)
    flat = kb.graph.flatten(keras.Model(image, block(image)))
    source = Box("input", "other", flat.inputs[0], [], [_size(flat.inputs[0])])
    boxes = [source, *_boxes(flat)]
    _place(boxes)
    return _svg(boxes)


def _boxes(flat: keras.Model) -> list[Box]:
    """A box for each convolution and sum; what follows it alone is written into it."""
    boxes: dict[int, Box] = {}
    padded: dict[int, Any] = {}
    readers: dict[int, int] = {}
    for call in keras_private.calls(flat):
        for tensor in call.inputs:
            readers[id(tensor)] = readers.get(id(tensor), 0) + 1
    for call in keras_private.calls(flat):
        layer, (output,) = call.operation, call.outputs
        inputs = [padded.get(id(tensor), tensor) for tensor in call.inputs]
        if isinstance(layer, keras.layers.ZeroPadding2D):
            padded[id(output)] = inputs[0]
            continue
        before = boxes.get(id(inputs[0])) if len(inputs) == 1 else None
        after = _detail(layer)
        if after and before is not None and readers[id(inputs[0])] == 1 and before.kind != "add":
            before.details.append(after)
            before.output = output
            boxes[id(output)] = boxes.pop(id(inputs[0]))
        else:
            boxes[id(output)] = Box(*_title(layer), output, inputs)
    return list(boxes.values())


def _detail(layer: Any) -> str | None:
    if isinstance(layer, keras.layers.BatchNormalization):
        return "batch norm"
    if isinstance(layer, keras.layers.ReLU):
        return "ReLU" if layer.max_value is None else f"ReLU{layer.max_value:g}"
    if isinstance(layer, keras.layers.Activation):
        name = layer.activation.__name__
        return "ReLU" if name == "relu" else name
    return None


def _title(layer: Any) -> tuple[str, str]:
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return f"{_kernel(layer)} depthwise{_stride(layer)}", "depthwise"
    if isinstance(layer, keras.layers.Conv2D):
        return f"{_kernel(layer)} conv, {layer.filters}{_stride(layer)}", "conv"
    if isinstance(layer, keras.layers.Add):
        return "+", "add"
    return _detail(layer) or type(layer).__name__, "other"


def _kernel(layer: Any) -> str:
    return "×".join(map(str, layer.kernel_size))


def _stride(layer: Any) -> str:
    return "" if layer.strides[0] == 1 else f", stride {layer.strides[0]}"


def _size(tensor: Any) -> str:
    return " × ".join(map(str, tensor.shape[1:]))


def _place(boxes: list[Box]) -> None:
    """The longest way through the block is the first column, other ways are to its right."""
    by_output = {id(box.output): box for box in boxes}
    ways: dict[int, list[Box]] = {}
    for box in boxes:
        before = [ways[id(tensor)] for tensor in box.inputs if id(tensor) in ways]
        ways[id(box.output)] = [*max(before, key=len, default=[]), box]
    main = ways[id(boxes[-1].output)]
    for row, box in enumerate(main):
        box.row = row
    side = [box for box in boxes if all(box is not one for one in main)]
    for number, box in enumerate(side):
        box.column = 1 + number
        first = by_output[id(box.inputs[0])].row
        last = next(one.row for one in main if any(t is box.output for t in one.inputs))
        box.row = (first + last) / 2


def _svg(boxes: list[Box]) -> str:
    by_output = {id(box.output): box for box in boxes}
    skips = any(_skips(box, by_output[id(t)]) for box in boxes for t in box.inputs)
    columns = 1 + max(box.column for box in boxes)
    width = 2 * MARGIN + columns * COLUMN - SPACE + (SKIP + 4 if skips else 0)
    height = 2 * MARGIN + max(box.y for box in boxes) + HEIGHT + 30
    parts = [_head(width, height)]
    for box in boxes:
        for tensor in box.inputs:
            parts.append(_line(by_output[id(tensor)], box))
    for box in boxes:
        parts.extend(_shapes(box))
    last = boxes[-1]
    parts.append(_text(last.x, last.y + HEIGHT + 20, _size(last.output), 12, FAINT))
    return "\n".join([*parts, "</svg>"])


def _skips(box: Box, source: Box) -> bool:
    return box.column == source.column == 0 and box.row - source.row > 1


def _line(source: Box, box: Box) -> str:
    start, end = source.y + HEIGHT, box.y
    if source.column == box.column and not _skips(box, source):
        path = f"M{source.x:g} {start:g}V{end - 2:g}"
    elif _skips(box, source):
        edge = box.x + WIDTH / 2 + SKIP
        side = box.x + 20 if box.kind == "add" else box.x + WIDTH / 2
        path = (
            f"M{source.x:g} {start + 12:g}H{edge - 12:g}q12 0 12 12V{end + HEIGHT / 2 - 12:g}"
            f"q0 12 -12 12H{side + 2:g}"
        )
    elif box.column > source.column:
        path = f"M{source.x:g} {start + 12:g}H{box.x - 12:g}q12 0 12 12V{end - 2:g}"
    else:
        middle, side = end + HEIGHT / 2, box.x + 20
        path = f"M{source.x:g} {start:g}V{middle - 12:g}q0 12 -12 12H{side + 2:g}"
    return _arrow(path)


def _head(width: float, height: float) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" font-family="sans-serif" text-anchor="middle">\n'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="{LINE}"/></marker></defs>'
    )


def _arrow(path: str) -> str:
    return (
        f'<path d="{path}" fill="none" stroke="{LINE}" stroke-width="1.6" marker-end="url(#tip)"/>'
    )


def _shapes(box: Box) -> Iterator[str]:
    middle = box.y + HEIGHT / 2
    if box.kind == "add":
        yield (
            f'<circle cx="{box.x:g}" cy="{middle:g}" r="20" fill="{COLOURS["add"]}" '
            f'stroke="{LINE}"/>'
        )
        yield f'<path d="M{box.x:g} {middle - 23:g}V{box.y - 2:g}" stroke="{LINE}"/>'
        yield f'<path d="M{box.x:g} {middle + 20:g}V{box.y + HEIGHT:g}" stroke="{LINE}"/>'
        yield _text(box.x, middle + 6, "+", 20, INK)
        return
    yield (
        f'<rect x="{box.x - WIDTH / 2:g}" y="{box.y:g}" width="{WIDTH}" height="{HEIGHT}" rx="8" '
        f'fill="{COLOURS[box.kind]}" stroke="{LINE}"/>'
    )
    yield _text(box.x, middle + (-3 if box.details else 5), box.title, 14, INK)
    if box.details:
        yield _text(box.x, middle + 15, ", ".join(box.details), 12, "#374151")


def _text(x: float, y: float, text: str, size: int, colour: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{colour}">{escape(text)}</text>'


def flow() -> str:
    """How a network becomes files, as a row of boxes."""
    width, height, step = 118, 58, 150
    total = MARGIN * 2 + step * (len(FLOW) - 1) + width
    parts = [_head(total, height + 2 * MARGIN)]
    for number, (title, detail) in enumerate(FLOW):
        x = MARGIN + width / 2 + number * step
        colour = COLOURS["add" if title in ("run", "compare") else "conv"]
        parts.append(
            f'<rect x="{x - width / 2:g}" y="{MARGIN}" width="{width}" height="{height}" rx="8" '
            f'fill="{colour}" stroke="{LINE}"/>'
        )
        parts.append(_text(x, MARGIN + 25, title, 15, INK))
        parts.append(_text(x, MARGIN + 44, detail, 11, "#374151"))
        if number:
            start, end = x - step + width / 2, x - width / 2 - 2
            parts.append(_arrow(f"M{start:g} {MARGIN + height / 2:g}H{end:g}"))
    return "\n".join([*parts, "</svg>"])


def draw_all(folder: Path) -> None:
    """Write every drawing of `DRAWINGS`, and the row of boxes, into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "flow.svg").write_text(flow(), "utf-8")
    for name, (block, shape) in DRAWINGS.items():
        (folder / f"{name}.svg").write_text(draw(block(), shape), "utf-8")


if __name__ == "__main__":
    draw_all(Path(sys.argv[1]))
