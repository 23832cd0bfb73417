"""Lines of a service's log, which are JSON outside development, as people read them."""

from __future__ import annotations

import json
from typing import Any

_FIELDS = ("time", "level", "logger", "message")


def dated(line: bytes) -> tuple[str, str]:
    """Return when a line was printed, and the line.

    Args:
        line: As Docker and Kubernetes hand it out with its time before it.
    """
    time, _, text = line.decode(errors="replace").partition(" ")
    return time, text.rstrip("\r")


def event_of(line: str) -> dict[str, Any] | None:
    """Return the event of a line; None where the line is something else.

    Args:
        line: A line of a container's log.
    """
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and all(isinstance(event.get(name), str) for name in _FIELDS) else None


def readable(line: str) -> str:
    """Return a line as the runtime writes it in development; other lines as they are.

    Args:
        line: A line of a container's log.
    """
    event = event_of(line)
    if event is None:
        return line
    request = f" [{event['request_id']}]" if event.get("request_id") else ""
    text = "\n".join(filter(None, (event["message"], event.get("exception"))))
    indented = text.replace("\n", "\n    ")
    return f"{event['time']} {event['level']:<7} {event['logger']}{request}: {indented}"
