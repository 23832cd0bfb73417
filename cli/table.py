"""What the command prints: to a person at a terminal with colours, elsewhere as plain lines of any length."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.table import Table

# Not cut to the 80 columns that a pipe or a log file would get.
_UNLIMITED = 10_000


def console(*, error: bool = False) -> Console:
    """Return where to print.

    Args:
        error: For messages beside the result.
    """
    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() else _UNLIMITED
    return Console(stderr=error, width=width, highlight=False, markup=False, emoji=False)


def say(line: str) -> None:
    """Print a line about what is being done, beside the result."""
    console(error=True).print(line, style="dim", soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a value as JSON, as it is: for programs."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_text(value: Any) -> None:
    """Print a value for a person: JSON in colours, a text as it is."""
    if isinstance(value, str):
        console().print(value, soft_wrap=True)
        return
    text = json.dumps(value, indent=2, ensure_ascii=False)
    console().print(JSONHighlighter()(text), soft_wrap=True)


def plain_table(*columns: str, header: bool = True) -> Table:
    """Return a table without lines, for rows to be added.

    Args:
        columns: Their headings. What is in the last one may take several lines where a terminal is narrow.
        header: Whether the headings are shown.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold", show_header=header)
    for number, name in enumerate(columns, start=1):
        is_last = number == len(columns)
        table.add_column(name, no_wrap=not is_last, overflow="fold" if is_last else "ellipsis")
    return table
