"""A table of images: a file name in each row, with its class, its labels, or numbers to predict."""

import csv
import io
import os
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_bottleneck.checks import reject
from keras_bottleneck.data.parts import PARTS, part_of
from keras_bottleneck.data.visible import images_in
from keras_bottleneck.tasks import CLASSIFICATION, MULTI_LABEL, REGRESSION

TABLE = "labels.csv"
# What columns are called, in any case.
FILE = ("file", "filename", "file_name", "image", "image_path", "path")
CLASS = ("class", "label")
PART = ("part", "split", "subset")
SEPARATORS = (",", ";", "\t")
SHOWN = 3
NUMBER_WITH_COMMA = re.compile(r"[+-]?\d+,\d+")


class Row(NamedTuple):
    """A row of a table: the line of the file that it ends in, and its cells."""

    line: int
    cells: list[str]


class Table(NamedTuple):
    """What a table says of the images; see `Listing`."""

    files: tuple[Path, ...]
    targets: np.ndarray[Any, Any]
    names: tuple[str, ...]
    task: str
    parts: tuple[str | None, ...]


def table_of(root: Path, given: Any) -> Path | None:
    """The file with the table of a folder: the one given, or its labels.csv; None without one.

    Raises:
        ValueError: If the given file does not exist.
    """
    if given is None:
        return root / TABLE if (root / TABLE).is_file() else None
    if not isinstance(given, (str, os.PathLike)) or not Path(given).is_file():
        raise reject("labels", given, "an existing CSV file")
    return Path(given)


def read(root: Path, file: Path, task: Any = None) -> Table:
    """The images of `root` that the table in `file` lists.

    Rows whose file is missing, and images that no row names, are left out with a warning.

    Args:
        root: The folder; file names are relative to it.
        file: CSV with a row of headings; separated by commas, semicolons or tabs.
        task: What the columns are, one of `TASKS`; None for what they look like.

    Raises:
        ValueError: If a column is missing, a cell is not what its column holds, or no file of the
            table exists.
    """
    heading, *rows = _rows(file)
    names = heading.cells
    places = {name.lower(): place for place, name in enumerate(names)}
    of_file, of_part, of_class = (_place(places, called) for called in (FILE, PART, CLASS))
    if of_file is None:
        raise ValueError(
            f"`labels` must be a table with a column called {' or '.join(FILE[:2])}, of the files. "
            f"Received: {str(file)!r} with the columns {', '.join(names)}"
        )
    columns = [place for place in range(len(names)) if place not in (of_file, of_part)]
    if of_class is not None and task in (None, CLASSIFICATION):
        columns = [of_class]
    elif of_class is not None and len(columns) > 1:
        columns.remove(of_class)
    if not columns:
        accepted = "a table with a column for the class, each label or each number"
        raise reject("labels", names, accepted)
    rows, files = _existing(root, file, rows, of_file)
    parts = tuple(None if of_part is None else _part(file, row, of_part) for row in rows)
    chosen = [Row(row.line, [row.cells[place] for place in columns]) for row in rows]
    targets = _targets(
        file, [names[place] for place in columns], chosen, columns == [of_class], task
    )
    return Table(files, *targets, parts)


def _targets(
    file: Path, names: list[str], rows: list[Row], are_classes: bool, task: Any
) -> tuple[np.ndarray[Any, Any], tuple[str, ...], str]:
    """What the images are, the names of that, and the task."""
    numbers = None if are_classes else _numbers(rows)
    single = len(names) == 1 and task in (None, CLASSIFICATION)
    binary = numbers is not None and bool(np.isin(numbers, (0, 1)).all())
    if single and numbers is None and not are_classes and task is None:
        _check_not_mixed(file, names[0], rows)
    if are_classes or (single and (numbers is None or (task and not binary))):
        return *_classes(file, rows), CLASSIFICATION
    if numbers is None:
        raise _text(file, names, rows)
    _check_finite(file, names, rows, numbers)
    if single and binary:
        return numbers[:, 0].astype(np.int32), (f"not {names[0]}", names[0]), CLASSIFICATION
    if task == CLASSIFICATION:
        accepted = f"{MULTI_LABEL!r} or {REGRESSION!r} for {len(names)} columns"
        raise reject("task", task, accepted)
    zero_or_one = np.isin(numbers, (0, 1))
    if task == REGRESSION or (task is None and not zero_or_one.all(0).any()):
        return numbers, tuple(names), REGRESSION
    if not binary:
        row, column = np.argwhere(~zero_or_one)[0].tolist()
        raise ValueError(
            "`labels` must be a table of 0 and 1 for labels (or be given with task='regression' "
            f"for numbers). Received: {numbers[row, column]:g} as {names[column]!r} in line "
            f"{rows[row].line} of {file.name}"
        )
    return numbers, tuple(names), MULTI_LABEL


def _rows(file: Path) -> list[Row]:
    """The rows of a CSV file that are not empty, the headings first; each has as many cells."""
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise reject("labels", str(file), f"a CSV file in UTF-8 ({error})") from None
    first = text.partition("\n")[0]
    separator = max(SEPARATORS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    rows = [
        Row(reader.line_num, [_cell(cell.strip(), separator) for cell in cells]) for cells in reader
    ]
    rows = [row for row in rows if any(row.cells)]
    if len(rows) < 2:
        raise reject("labels", str(file), "a table with a row of headings and a row for each image")
    for row in rows:
        if len(row.cells) != len(rows[0].cells):
            raise ValueError(
                f"`labels` must be a table with {len(rows[0].cells)} cells in each row. Received: "
                f"{len(row.cells)} in line {row.line} of {str(file)!r}"
            )
    return rows


def _cell(text: str, separator: str) -> str:
    """`text`; a number with a decimal comma, as where no comma separates cells, with a point."""
    with_comma = separator != "," and NUMBER_WITH_COMMA.fullmatch(text)
    return text.replace(",", ".") if with_comma else text


def _place(places: dict[str, int], names: Sequence[str]) -> int | None:
    """Where the column is that has one of `names`, the first of them that there is."""
    return next((places[name] for name in names if name in places), None)


def _existing(
    root: Path, table: Path, rows: list[Row], of_file: int
) -> tuple[list[Row], tuple[Path, ...]]:
    """The rows whose files exist, and these files; what is missing on either side is named."""
    names = [row.cells[of_file] for row in rows]
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        accepted = f"a table with one row for each file ({len(doubled)} have several)"
        raise reject("labels", doubled[0], accepted)
    existing = [_file(root, name) for name in names]
    there = [row for row, file in zip(rows, existing, strict=True) if file is not None]
    files = tuple(file for file in existing if file is not None)
    if not files:
        raise reject("labels", names[0], f"a table of files in {str(root)!r}, of which none exists")
    listed = {file.resolve() for file in files}
    missing = [name for name, file in zip(names, existing, strict=True) if file is None]
    others = [file for file in images_in(root) if file.resolve() not in listed]
    if missing:
        _warn(f"{len(missing)} files that {table.name} names are missing", missing)
    if others:
        left_out = [file.relative_to(root).as_posix() for file in others]
        _warn(f"{len(others)} images have no row in {table.name}, and are left out", left_out)
    return there, files


def _file(root: Path, name: str) -> Path | None:
    """The file that a table calls `name`; None where there is none.

    Tables from Windows have backslashes, and an accent is one character or two: macOS writes the
    names of files in another form than people type.
    """
    forms = (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    paths = (root / one for one in (name, name.replace("\\", "/"), *forms))
    return next((path for path in paths if path.is_file()), None)


def _warn(problem: str, names: Sequence[str]) -> None:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    warnings.warn(
        f"{problem}: {', '.join(names[:SHOWN])}{more}", stacklevel=7
    )  # whoever called `image_folder`


def _part(file: Path, row: Row, of_part: int) -> str:
    part = part_of(row.cells[of_part])
    if part is None:
        accepted = f"a table whose parts are {', '.join(PARTS)} (line {row.line} of {file.name})"
        raise reject("labels", row.cells[of_part], accepted)
    return part


def _classes(file: Path, rows: list[Row]) -> tuple[np.ndarray[Any, Any], tuple[str, ...]]:
    """The class indices of rows with one cell, and the names of the classes, sorted."""
    cells = [row.cells[0] for row in rows]
    if "" in cells:
        line = rows[cells.index("")].line
        accepted = f"a table with a class or number in each row (line {line} of {file.name})"
        raise reject("labels", "", accepted)
    whole = all(cell.isdecimal() for cell in cells)
    names = tuple(sorted(set(cells), key=int if whole else None))
    if len(names) < 2:
        raise reject("labels", list(names), f"a table of at least two classes ({file.name})")
    index = {name: place for place, name in enumerate(names)}
    return np.array([index[cell] for cell in cells], np.int32), names


def _numbers(rows: list[Row]) -> np.ndarray[Any, Any] | None:
    """The cells as float32 (rows, columns); None where some are no numbers."""
    try:
        return np.array([[float(cell) for cell in row.cells] for row in rows], np.float32)
    except ValueError:
        return None


def _check_not_mixed(file: Path, name: str, rows: list[Row]) -> None:
    """Refuses a column of numbers with a few words in it: each number would become a class."""
    odd = [row for row in rows if _numbers([row]) is None]
    if 0 < len(odd) < len(rows) / 2:
        raise ValueError(
            f"`labels` must be a table with numbers alone in the column {name!r} (or be given with "
            f"task='classification'). Received: {odd[0].cells[0]!r} in line {odd[0].line} of "
            f"{file.name}"
        )


def _text(file: Path, names: Sequence[str], rows: list[Row]) -> ValueError:
    """What to raise for the first cell that is no number."""
    cells = ((row, *pair) for row in rows for pair in zip(names, row.cells, strict=True))
    row, name, cell = next(one for one in cells if _numbers([Row(0, [one[2]])]) is None)
    return ValueError(
        "`labels` must be a table with numbers in the columns of labels and values (or one column "
        f"of classes, called {' or '.join(CLASS)}). Received: {cell!r} as {name!r} in line "
        f"{row.line} of {file.name}"
    )


def _check_finite(file: Path, names: Sequence[str], rows: list[Row], numbers: np.ndarray) -> None:
    odd = ~np.isfinite(numbers)
    if odd.any():
        row, column = np.argwhere(odd)[0].tolist()
        raise ValueError(
            f"`labels` must be a table of finite numbers. Received: {numbers[row, column]} as "
            f"{names[column]!r} in line {rows[row].line} of {file.name}"
        )
