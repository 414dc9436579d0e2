"""A notebook run from its beginning, and the page that shows what it prints."""

import base64
import io
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

from . import printed

# Seconds that a cell may take.
PATIENCE = 600
COLOURS = 128
# TensorFlow's log, which in notebooks goes to stdout.
LOGGED = "INFO:tensorflow:"


def run(notebook: Path, page: Path, folder: Path, renew: bool) -> list[str]:
    """Run the cells of `notebook` in order, in a kernel of its own.

    Args:
        notebook: A .ipynb file.
        page: The Markdown file that shows it; its pictures lie in a folder of the same name.
        folder: Where the notebook works.
        renew: Whether to write page and pictures; else what the page says is compared.

    Returns:
        What the page shows otherwise than it was printed, as sentences.
    """
    book = nbformat.read(notebook, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(book, timeout=PATIENCE, resources=resources).execute()
    pictures: dict[str, bytes] = {}
    text = "\n\n".join(_parts(book.cells, page.stem, pictures)) + "\n"
    if renew:
        page.write_text(text, "utf-8")
        for name, content in pictures.items():
            path = page.parent / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
    shown = page.read_text("utf-8")
    differences = []
    # Sets: a class without mistakes has an empty cell, and which has none differs between machines.
    if set(printed.compared(shown)) != set(printed.compared(text)):
        differences.append(f"{page.name} shows\n{shown}\nwhere this was printed:\n{text}")
    kept = {path.relative_to(page.parent).as_posix() for path in page.with_suffix("").iterdir()}
    if kept != set(pictures):
        differences.append(f"{page.name} has the pictures {kept} instead of {set(pictures)}")
    return differences


def _parts(cells: list, name: str, pictures: dict[str, bytes]) -> Iterator[str]:
    """The cells and what they show, as Markdown; `pictures` gets their pictures."""
    heading = [name]
    for cell in cells:
        if cell.cell_type == "markdown":
            yield cell.source.replace("(../docs/", "(")
            heading = re.findall(r"^#+ (.+)$", cell.source, re.MULTILINE)[-1:] or heading
            continue
        yield f"```python\n{cell.source}\n```"
        lines = _lines("".join(one.text for one in cell.outputs if one.get("name") == "stdout"))
        if lines:
            yield "\n".join(["```text", *lines, "```"])
        for output in cell.outputs:
            picture = output.get("data", {}).get("image/png")
            if picture:
                file = f"{name}/{len(pictures) + 1}.png"
                pictures[file] = _in_few_colours(base64.b64decode(picture))
                yield f"![{heading[0]}]({file})"


def _in_few_colours(picture: bytes) -> bytes:
    small = io.BytesIO()
    with Image.open(io.BytesIO(picture)) as image:
        octree = Image.Quantize.FASTOCTREE
        image.convert("RGB").quantize(COLOURS, octree, dither=Image.Dither.NONE).save(
            small, "PNG", optimize=True
        )
    return small.getvalue()


def _lines(text: str) -> list[str]:
    """Lines as a terminal leaves them: without colours, progress bars as they were in the end."""
    lines = printed.COLOUR.sub("", text).replace("\b", "").split("\n")
    lasting = [re.split(r"\r(?=.)", line.rstrip("\r "))[-1].rstrip() for line in lines]
    return [line for line in lasting if line and not line.startswith(LOGGED)]
