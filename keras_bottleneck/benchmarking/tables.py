"""A benchmark as a table: in a terminal, and in Markdown."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from keras_bottleneck.benchmarking.cells import Cell

# A terminal of at least so many columns shows one table; a narrower one shows two, of what is right
# and of what is fast.
WIDE = 118


@dataclass(frozen=True)
class Column:
    """One figure: its heading, unit, and how it is written."""

    heading: str
    unit: str
    text: Callable[[Cell], str]
    number: bool = True

    @property
    def title(self) -> str:
        """The heading with its unit."""
        return f"{self.heading} {self.unit}".strip()


def _percent(name: str) -> Callable[[Cell], str]:
    return _number(name, lambda part: f"{part:.1%}")


def _number(name: str, text: Callable[[Any], str]) -> Callable[[Cell], str]:
    def written(cell: Cell) -> str:
        value = getattr(cell, name)
        return "" if value is None else text(value)

    return written


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


WHICH = (
    Column("format", "", lambda cell: cell.format, number=False),
    Column("precision", "", lambda cell: cell.precision, number=False),
    Column("threads", "", lambda cell: str(cell.threads)),
)
RIGHT = (
    Column("size", "MB", _number("size", lambda value: _three_digits(value / 1e6))),
    Column("top-1", "", _percent("top1")),
    Column("top-5", "", _percent("top5")),
    Column("error", "", _number("error", lambda value: f"{value:.0e}")),
    Column("agree", "", _percent("agreement")),
)
FAST = (
    Column("load", "ms", _number("load_ms", _three_digits)),
    Column("p50", "ms", _number("p50_ms", _three_digits)),
    Column("p90", "ms", _number("p90_ms", _three_digits)),
    Column("images", "1/s", _number("images_per_s", _three_digits)),
    Column("memory", "MB", _number("peak_bytes", lambda value: f"{value / 1e6:.0f}")),
)


COLUMNS = (*WHICH, Column("status", "", lambda cell: cell.status, number=False), *RIGHT, *FAST)


@dataclass(frozen=True)
class Table:
    """Cells, and the sentences that belong to them.

    Attributes:
        title: Above the table.
        cells: Its rows.
        notes: Sentences below it.
        failures: Sentences that must not be missed.
    """

    title: str
    cells: tuple[Cell, ...]
    notes: tuple[str, ...]
    failures: tuple[str, ...]

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        from rich.text import Text

        if options.max_width >= WIDE:
            yield self._table((*RIGHT, *FAST), self.title)
        else:
            yield self._table(RIGHT, self.title)
            yield self._table(FAST, "")
        for cell in self.cells:
            if not cell.ok:
                yield Text(f"{cell.name}, threads={cell.threads}: {cell.status}", style="red")
        for sentence in self.failures:
            yield Text(sentence, style="bold red")
        for sentence in self.notes:
            yield Text(sentence, style="dim")

    def _table(self, columns: tuple[Column, ...], title: str) -> Any:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        table = Table(
            title=title or None,
            title_justify="left",
            box=SIMPLE_HEAD,
            collapse_padding=True,
            pad_edge=False,
        )
        for column in WHICH:
            table.add_column(column.heading, no_wrap=True)
        table.add_column("status", no_wrap=True)
        for column in columns:
            table.add_column(f"{column.heading}\n{column.unit}".strip(), justify="right")
        for cell in self.cells:
            status = "ok" if cell.ok else "[red]failed[/red]"
            which = (column.text(cell) for column in WHICH)
            table.add_row(*which, status, *(column.text(cell) for column in columns))
        return table

    def markdown(self) -> str:
        """All of it as Markdown; the Status column says what failed, where something did."""
        lines = [f"**{self.title}**", "", _line([column.title for column in COLUMNS])]
        lines.append(_line(["---:" if column.number else "---" for column in COLUMNS]))
        for cell in self.cells:
            lines.append(_line([_escaped(column.text(cell)) for column in COLUMNS]))
        lines += [f"\n{sentence}" for sentence in self.notes]
        if self.failures:
            lines += ["\nNot kept:\n", *(f"- {_escaped(sentence)}" for sentence in self.failures)]
        return "\n".join(lines) + "\n"


def _line(texts: list[str]) -> str:
    return "| " + " | ".join(texts) + " |"


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
