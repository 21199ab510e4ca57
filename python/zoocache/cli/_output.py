"""How commands say what they found: exit codes, JSON, tables.

Nothing that comes from a home is printed but through `safe`, and never as markup.
"""

from __future__ import annotations

import enum
import json
import sys
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from zoocache.cli._text import safe

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Exit", "complain", "note", "print_json", "print_line", "print_table"]


class Exit(enum.IntEnum):
    """What the command ends with."""

    FINE = 0
    FINDING = 1  # `doctor` found something, `explain` found nothing
    USAGE = 2  # an option or a tag is not allowed, or a package is missing
    UNREACHABLE = 3  # the home does not answer, or cannot be used
    INTERRUPTED = 130


def _console(*, to_stderr: bool = False) -> Console:
    # Made when it is used: what the streams are may have changed.
    return Console(
        file=sys.stderr if to_stderr else sys.stdout, highlight=False, markup=False, emoji=False
    )


def print_json(found: Any) -> None:
    """One line of ASCII: nothing in it can be taken for an escape sequence."""
    sys.stdout.write(json.dumps(found, ensure_ascii=True, default=str) + "\n")
    sys.stdout.flush()


def print_line(text: str, style: str = "") -> None:
    """A line of text, escaped."""
    _console().print(Text(safe(text), style=style), soft_wrap=True)


def note(text: str) -> None:
    """What else there is to know, in a fainter colour."""
    print_line(text, "dim")


def complain(text: str) -> None:
    """What went wrong, to stderr."""
    _console(to_stderr=True).print(Text(f"zoocache: {safe(text)}"), soft_wrap=True)


def print_table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """A table; numbers stand on the right. In a pipe nothing is cut off."""
    console = _console()
    given = [[*row] for row in rows]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(columns):
        is_number = bool(given) and all(isinstance(row[index], int | float) for row in given)
        table.add_column(
            name, justify="right" if is_number else "left", overflow="fold", no_wrap=is_number
        )
    for row in given:
        table.add_row(*(_cell(value) for value in row))
    if not console.is_terminal:
        console.width = max(console.width, console.measure(table).maximum, 80)
    console.print(table)


def _cell(value: object) -> Text:
    if isinstance(value, int):
        return Text(f"{value:,}")
    return Text(f"{value:.3g}" if isinstance(value, float) else safe(str(value)))
