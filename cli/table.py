"""What the command prints: to a person at a terminal with colours, elsewhere as plain lines of any length."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.table import Table
from rich.text import Text

from cli.placements.states import GONE, NOT_DEPLOYED, NOT_LIVE, counted, restoring, tone_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cli.placements.placement import Placement
    from cli.placements.states import Tone

_COLOURS: dict[Tone, str] = {"good": "green", "waiting": "yellow", "bad": "red", "absent": "dim"}
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


def print_placements(placements: Iterable[Placement], stack: str | None) -> None:
    """Print the table of models, and below it what keeps any of them from serving.

    Args:
        placements: What the stack has.
        stack: The stack, for the command that restores what is gone; None where that has just been tried.
    """
    table = plain_table("MODEL", "VERSION", "TARGET", "STATE", "ENDPOINT")
    rows = list(placements)
    for row in rows:
        state, endpoint = _state_and_endpoint(row)
        table.add_row(row.model, row.version, row.target, state, endpoint)
    out = console()
    out.print(table)
    if stack and (gone := [row for row in rows if row.state in GONE]):
        names = ", ".join(row.model for row in gone)
        out.print(f"\nNot running although deployed: {names}. Restore with: {restoring(stack)}", soft_wrap=True)
    for row in rows:
        if told := _canary(row):
            out.print(f"\n{told}", soft_wrap=True)
        if row.error:
            where = " on devices" if row.devices else ""
            out.print(f"\n{row.model} failed{where}:\n{row.error.rstrip()}", style="red", soft_wrap=True)
        if row.reload_error:
            out.print(
                f"\n{row.model}: the latest edit was not taken over; the script before it goes on serving:\n"
                f"{row.reload_error.rstrip()}",
                style="red",
                soft_wrap=True,
            )


def _canary(row: Placement) -> str | None:
    """How far a canary has come; one that was aborted is an error, told as such."""
    canary = row.canary or {}
    if not canary or canary.get("phase") == "aborted":
        return None
    if canary.get("phase") == "finished":
        return (
            f"{row.model}: version {canary['version']} has come through its canary and has all requests; remove "
            "`canary` from its entry, which changes nothing that serves."
        )
    return f"{row.model}: version {canary['version']} is a canary with {canary['percent']} % of the requests."


def _state_and_endpoint(row: Placement) -> tuple[Text, Text]:
    state, endpoint = Text(row.state, style=_COLOURS[tone_of(row.state)]), Text(row.endpoint or "")
    if row.reload_error:
        state.append(", edit failed", style="red")
        endpoint.append("   reload: the latest edit is not live, see below", style="red")
    elif row.reload:
        endpoint.append("   reload: edits of its script are live", style="dim")
    elif row.devices:
        endpoint.append(counted(one.state for one in row.devices), style="dim")
    elif row.engine:
        endpoint.append(f"`slipway batch run {row.model}` starts a job", style="dim")
    elif row.state == NOT_LIVE:
        endpoint.append("its target is not among slipway:targets of this stack", style="dim")
    elif row.state == NOT_DEPLOYED:
        endpoint.append("`slipway up` deploys it", style="dim")
    return state, endpoint
