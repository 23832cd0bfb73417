"""The last error in each model's log."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from cli.diagnosis.finding import Finding
from cli.errors import CliError
from cli.logs.events import event_of, readable
from cli.logs.source import LogSource
from cli.placements import devices, groups, workloads
from cli.placements.placement import AKS, LOCAL_DOCKER
from cli.placements.states import FAILED, READY
from manifest import AciTarget, IotEdgeTarget

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cli.diagnosis.context import Context

_TAIL = 2000
# As the runtime writes events, as text or JSON; the further lines of a text are indented.
_LEVELS = ("ERROR", "CRITICAL")
_TEXT = re.compile(rf"\S+ (?:{'|'.join(_LEVELS)}) +\S+(?: \[[^\]]*\])?: .*")

# An edit was taken over: the first generation is what a start of the process loads.
_TAKEN_OVER = re.compile(r"\S+ INFO +slipway: ready: .*, generation (?!1$)\d+$")


def check(context: Context) -> Iterator[Finding]:
    """Read the end of each log, wherever `slipway logs` does."""
    found = False
    for one in _every(context):
        found = True
        yield one
    if not found:
        yield Finding("ok", f"The stack {context.stack} has no log to read.")


def _every(context: Context) -> Iterator[Finding]:
    yield from _on_devices(context)
    live = context.config.live_targets
    sources = workloads.log_sources(context.pulumi) if AKS in live else []
    sources += groups.log_sources(context.pulumi) if AciTarget.kind in live else []
    for model in dict.fromkeys(one.model for one in sources):
        yield _judged(model, [one for one in sources if one.model == model])
    # Last: an engine that does not answer keeps nobody from what is elsewhere, and that alone needs none.
    if LOCAL_DOCKER in live or not {AKS, AciTarget.kind, IotEdgeTarget.kind} & set(live):
        for one in context.containers:
            yield _judged(one.model, [LogSource(one.model, one.name, partial(context.docker.log, one.id))])


def _on_devices(context: Context) -> Iterator[Finding]:
    """Look at one device of each model: one that fails, else one that serves."""
    for one in context.on_devices:
        by_state = {device.state: device.device for device in one.devices}
        if device := by_state.get(FAILED) or by_state.get(READY):
            source = devices.log_source(devices.needed_hub(context.pulumi), one, device)
            yield _judged(one.model, [source], f" --device {device}")
        else:
            yield Finding("skipped", "It runs on no device.", model=one.model)


def _judged(model: str, sources: list[LogSource], option: str = "") -> Finding:
    errors, unread = [], None
    for one in sources:
        try:
            errors += errors_in(one.read(tail=_TAIL))
        except CliError as error:
            unread = Finding("skipped", f"The log of {one.name} was not read: {error}", error.hint, model)
    if errors:
        # The times of engines, clusters and Azure sort as text.
        where = f"`slipway logs {model}{option}` shows what came before and after."
        return Finding("warning", f"Its last error: {max(errors)[1]}", where, model)
    return unread or Finding("ok", "No error in its log.", model=model)


def errors_in(lines: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the errors that a log tells of, each with its time; without those from before the last edit of the script.

    Args:
        lines: Its lines, each with its time.
    """
    found: list[tuple[str, str]] = []
    for time, line in lines:
        if _TAKEN_OVER.match(readable(line)):
            found.clear()
        elif error := error_in(line):
            found.append((time, error))
    return found


def error_in(line: str) -> str | None:
    """Return what a line of a log tells of an error, on one line; None where it is none."""
    if not line.startswith("{"):
        return line.strip() if _TEXT.fullmatch(line) else None
    event = event_of(line)
    if event is None or event["level"] not in _LEVELS:
        return None
    message = next(iter(event["message"].splitlines()), "")
    # The last line of a traceback is what was raised.
    raised = str(event.get("exception") or "").strip().splitlines()[-1:]
    return " ".join([event["time"], ": ".join([message, *raised])])
