"""The last error in each model's log."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cli.diagnosis.finding import Finding
from cli.logs.events import event_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.diagnosis.context import Context

_TAIL = 2000
# As the runtime writes events, as text or JSON; the further lines of a text are indented.
_LEVELS = ("ERROR", "CRITICAL")
_TEXT = re.compile(rf"\S+ (?:{'|'.join(_LEVELS)}) +\S+(?: \[[^\]]*\])?: .*")


def check(context: Context) -> Iterator[Finding]:
    """Read the end of each log."""
    containers = context.containers
    for one in containers:
        errors = [error for _, line in context.docker.log(one.id, tail=_TAIL) if (error := error_in(line))]
        if errors:
            where = f"`slipway logs {one.model}` shows what came before and after."
            yield Finding("warning", f"Its last error: {errors[-1]}", where, one.model)
        else:
            yield Finding("ok", "No error in its log.", model=one.model)
    if not containers:
        yield Finding("ok", f"The stack {context.stack} has no containers on this machine.")


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
