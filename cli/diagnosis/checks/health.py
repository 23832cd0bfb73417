"""Whether each deployed model answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from cli.diagnosis.finding import Finding
from cli.placements.host_names import missing_name
from cli.placements.port_forward import is_inside
from cli.placements.service import statuses
from cli.placements.states import FAILED, UNAUTHORIZED, counted, is_good, restoring

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.diagnosis.context import Context
    from cli.placements.placement import Placement


def check(context: Context) -> Iterator[Finding]:
    """Ask each service for its state."""
    # Pods tell of those that only their cluster reaches.
    asked = [one for one in context.placements if one.endpoint and not is_inside(one)]
    told = asyncio.run(statuses([one.endpoint or "" for one in asked], context.keys))
    for one in asked:
        yield _judged(context.stack, one, told.get(one.endpoint or ""))
    for one in (on_devices := context.on_devices):
        yield _on_devices(one)
    if not asked and not on_devices:
        yield Finding("ok", f"The stack {context.stack} has no model to ask.")


def _on_devices(placement: Placement) -> Finding:
    model, text = placement.model, counted(one.state for one in placement.devices)
    if placement.state == FAILED:
        mend = "Mend what they say, or `slipway up` with the version before."
        return Finding("problem", f"{text}:\n{placement.error}", mend, model)
    if not placement.devices:
        return Finding(
            "warning", f"No device of the hub meets {placement.condition}.", "Register or tag devices.", model
        )
    return Finding("ok" if is_good(placement.state) else "warning", f"{text}.", model=model)


def _judged(stack: str, placement: Placement, status: dict[str, Any] | None) -> Finding:
    model = placement.model
    logs = f"`slipway logs {model}` tells what it does."
    if status is None:
        line = missing_name(placement)
        silent = Finding("problem", f"Nothing answers at {placement.endpoint}.", logs, model)
        return Finding("warning", line, model=model) if line else silent
    if status["state"] == UNAUTHORIZED:
        return Finding(
            "problem",
            f"{placement.endpoint} answers, but does not take the key that the stack's state has for it.",
            "Somebody changed it outside of the stack, or the address is another service's: "
            f"`{restoring(stack)}` restores it.",
            model,
        )
    state, error = status["state"], (status.get("error") or "").rstrip()
    if state == FAILED or error:
        return Finding("problem", f"It is {state}: {error}", "Mend the script or its files, then `slipway up`.", model)
    if edit := ((status.get("reload") or {}).get("error") or "").rstrip():
        return Finding(
            "problem",
            f"The latest edit was not taken over; the script before it answers:\n{edit}",
            "Mend the script: saving it loads it again.",
            model,
        )
    if not is_good(state):
        return Finding("warning", f"It is {state}.", logs, model)
    return Finding("ok", f"It is {state} at {placement.endpoint}.", model=model)
