"""Durations, as Batch writes them: ISO 8601 of days and shorter."""

from __future__ import annotations

import re
from datetime import timedelta

_FORM = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")


def parsed(text: str | None) -> timedelta | None:
    """Return a duration; None for none, and for one without an end.

    Raises:
        ValueError: It is no duration.
    """
    if not text:
        return None
    found = _FORM.fullmatch(text)
    if not found or not any(found.groups()):
        raise ValueError(text)
    weeks, days, hours, minutes, seconds = (float(one or 0) for one in found.groups())
    # Batch's way to say "for ever" is the longest that .NET knows.
    if days > 365 * 1000:
        return None
    return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
