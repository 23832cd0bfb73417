"""How far a task has come: rate and time left, for the log and for the file beside the output."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass, field
from typing import Any

_MINUTE, _HOUR = 60, 3600


@dataclass
class Progress:
    """Counts of a task.

    Attributes:
        parts: How many parts it has.
        size: How many bytes of input those are.
        parts_done: How many are finished.
        size_done: How many bytes those are.
        items: How many rows or files are done.
        failed: How many of them failed.
        results: How many rows were written in this run.
    """

    parts: int
    size: int
    parts_done: int = 0
    size_done: int = 0
    items: int = 0
    failed: int = 0
    results: int = 0
    _since: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """Remember what earlier runs did: the rate is that of this one."""
        self._size_before = self.size_done
        self._items_before = self.items

    def told(self, state: str, task: int, of: int, *, under_way: int = 0) -> dict[str, Any]:
        """Return what to tell.

        Args:
            state: running, complete, unfinished or failed.
            task: Which slice it is.
            of: Of how many.
            under_way: How many items of unfinished parts are done.
        """
        seconds = max(time.monotonic() - self._since, 1e-9)
        size_rate = (self.size_done - self._size_before) / seconds
        left = (self.size - self.size_done) / size_rate if size_rate else None
        return {
            "state": state,
            "task": task,
            "of": of,
            "parts": {"done": self.parts_done, "of": self.parts},
            "bytes": {"done": self.size_done, "of": self.size},
            "items": self.items + under_way,
            "failed": self.failed,
            "items_per_second": round((self.items + under_way - self._items_before) / seconds, 1),
            "seconds_left": round(left) if left is not None else None,
            "updated": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),  # noqa: UP017 - Python 3.10 has no dt.UTC
        }


def line_of(told: dict[str, Any]) -> str:
    """Return it as a line of the log."""
    share = 100 * told["bytes"]["done"] / told["bytes"]["of"] if told["bytes"]["of"] else 100
    left = "" if told["seconds_left"] is None or told["state"] != "running" else f", {_span(told['seconds_left'])} left"
    failed = f", {told['failed']} failed" if told["failed"] else ""
    return (
        f"{told['state']}: {told['parts']['done']} of {told['parts']['of']} parts, {share:.0f} % of the input, "
        f"{told['items']} items{failed}, {told['items_per_second']:.0f}/s{left}"
    )


def _span(seconds: int) -> str:
    if seconds < _MINUTE:
        return f"{seconds} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min"
    return f"{seconds // _HOUR} h {seconds % _HOUR // _MINUTE} min"
