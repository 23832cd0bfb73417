"""Logs of which only the end can be had, each time anew: their lines, and following them without repeating any."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cli.logs.events import event_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Line = tuple[str, str]
"""When it was printed, and the line."""

_DATED = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) ?(.*)", re.DOTALL)
# How many lines are asked for at first, and how many times as many where that does not reach back.
_WINDOW, _WIDER, _WIDEST = 500, 8, 40_000
# Enough to tell a place in the log from all others.
_KEPT = 1000


def dated(content: str) -> list[Line]:
    """Take a log apart.

    Args:
        content: Its lines, each with the time before it.

    Returns:
        The lines. One without a time has that of its event, else that of the line before it.
    """
    found: list[Line] = []
    time = ""
    for line in content.removesuffix("\n").split("\n") if content else []:
        match = _DATED.fullmatch(line)
        text = (match[2] if match else line).rstrip("\r")
        time = match[1] if match else (event_of(text) or {}).get("time", time)
        found.append((time, text))
    return found


def known_until(known: list[Line], window: list[Line]) -> int | None:
    """Return how many lines of a window are known; None where what is known does not reach into it.

    Not by times alone: lines of both outputs may have the same, and come in another order.

    Args:
        known: The last lines that are known, without a gap.
        window: The log's last lines by now.
    """
    best: tuple[int, int] | None = None
    for end in range(1, len(window) + 1) if known else ():
        if window[end - 1] != known[-1]:
            continue
        common = min(end, len(known))
        # The longest agreement; of several, the one that leaves most as new.
        if (best is None or common > best[0]) and window[end - common : end] == known[-common:]:
            best = (common, end)
    return best[1] if best else None


def followed(read: Callable[[int | None], list[Line]], tail: int, wait: Callable[[], None]) -> Iterator[Line]:
    """Read a log, and go on for ever.

    Args:
        read: Reads so many of its last lines; None: all that there are.
        tail: How many of the lines that there are already.
        wait: Waits between two looks.

    Yields:
        Each line once.
    """
    known = read(max(tail, 1))
    yield from known[-tail:] if tail else ()
    while True:
        wait()
        new = _new(read, known)
        yield from new
        known = (known + new)[-_KEPT:]


def _new(read: Callable[[int | None], list[Line]], known: list[Line]) -> list[Line]:
    size: int | None = _WINDOW
    while True:
        window = read(size)
        if (end := known_until(known, window)) is not None:
            return window[end:]
        if size is None or len(window) < size:
            break
        size = size * _WIDER if size * _WIDER <= _WIDEST else None
    # Another log has taken its place, as after a restart, or it has grown by more than is handed out.
    last = known[-1][0] if known else ""
    return [line for line in window if not last or line[0] > last]
