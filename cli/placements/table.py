"""The table of models, and what keeps any of them from serving."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from cli.placements.states import GONE, NOT_DEPLOYED, NOT_LIVE, counted, restoring, tone_of
from cli.table import console, plain_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cli.placements.placement import Placement
    from cli.placements.states import Tone

_COLOURS: dict[Tone, str] = {"good": "green", "waiting": "yellow", "bad": "red", "absent": "dim"}


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
