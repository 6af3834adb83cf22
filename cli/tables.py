"""Tables for people: at most 100 columns, in colour only on a terminal (and never with NO_COLOR)."""

from collections.abc import Sequence
from dataclasses import dataclass

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["Column", "number", "percent", "print_line", "print_table", "print_text"]

_WIDTH = 100


@dataclass(frozen=True)
class Column:
    """A column of a table; `wraps` allows long texts to take several lines."""

    title: str
    right: bool = False
    wraps: bool = False


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], total: Sequence[str] = ()) -> None:
    """Print rows of text under their titles, and the totals behind a line."""
    table = Table(box=box.SIMPLE_HEAD, show_footer=bool(total), pad_edge=False, padding=(0, 1), show_edge=False)
    footers = total or [""] * len(columns)
    for column, footer in zip(columns, footers, strict=True):
        table.add_column(
            column.title,
            footer,
            justify="right" if column.right else "left",
            no_wrap=not column.wraps,
            overflow="fold" if column.wraps else "ellipsis",
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # A name may hold what rich takes for markup.
    console = _console()
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def print_line(text: str = "", style: str | None = None) -> None:
    """Print a line as it is, however long."""
    _console().print(text, style=style, highlight=False, markup=False, soft_wrap=True)


def print_text(text: str) -> None:
    """Print a sentence, on as many lines as it takes."""
    _console().print(text, highlight=False, markup=False)


def number(value: int | None) -> str:
    """An integer with separators; nothing for None."""
    return "" if value is None else f"{value:,}"


def percent(value: float | None) -> str:
    """A ratio in percent; nothing for None."""
    return "" if value is None else f"{100 * value:.1f} %"


class _Console(Console):
    """Leaves a closed pipe to `main`, instead of ending the process."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def _console() -> Console:
    console = _Console()
    if not console.is_terminal or console.width > _WIDTH:
        console = _Console(width=_WIDTH)
    return console
