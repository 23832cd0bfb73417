"""When something recurs, in the five fields of cron, in UTC; and whether that is at even distances."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from manifest.problems import shown

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))
_PART = re.compile(r"(?:(\*)|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?")
_DAY, _WEEK = 24 * 60, 7 * 24 * 60
# A Sunday, at midnight: cron's weeks begin with it.
_SUNDAY = datetime(2023, 1, 1, tzinfo=UTC)
_SUNDAYS = (0, 7)


@dataclass(frozen=True)
class Even:
    """A recurrence at even distances.

    Attributes:
        every: The distance.
        offset: Of one of its times from a Sunday's midnight.
    """

    every: timedelta
    offset: timedelta

    def next(self, after: datetime) -> datetime:
        """Return the first of its times that is later."""
        return after + self.every - (after - _SUNDAY - self.offset) % self.every


def wrong_cron(text: str, zone: str = "in UTC") -> str | None:
    """Return what is wrong with a text that should be cron's five fields, or None.

    Args:
        text: The text.
        zone: Which time it is meant in, for the message.
    """
    parts = text.split()
    if len(parts) != len(_FIELDS):
        return (
            f'must be the five fields of cron, "minute hour day month weekday", {zone}, as in "0 3 * * *" for 03:00 on '
            f"each day, not {shown(text)}"
        )
    for part, (name, least, most) in zip(parts, _FIELDS, strict=True):
        if _values(part, least, most) is None:
            return (
                f"has {shown(part)} for the {name}; allowed are numbers from {least} to {most}, ranges (1-5), lists "
                "(1,3), * and steps (*/2)"
            )
    return None


def even(text: str) -> Even | None:
    """Return the distance of a cron that has the same one all the time, as hours, days or weeks have; else None.

    Args:
        text: Five fields that `wrong_cron` finds nothing wrong with.
    """
    minutes, hours, days, months, weekdays = text.split()
    if (days, months) != ("*", "*"):
        return None
    at_minutes, at_hours, on_days = _known(minutes, 0), _known(hours, 1), _known(weekdays, 4)
    times = sorted(
        {day % 7 * _DAY + hour * 60 + minute for day in on_days for hour in at_hours for minute in at_minutes}
    )
    gaps = {(after - before) % _WEEK or _WEEK for before, after in zip(times, times[1:] + times[:1], strict=True)}
    if len(gaps) != 1:
        return None
    return Even(timedelta(minutes=gaps.pop()), timedelta(minutes=times[0]))


def _known(part: str, field: int) -> list[int]:
    _, least, most = _FIELDS[field]
    return _values(part, least, most) or []


def _values(field: str, least: int, most: int) -> list[int] | None:
    found: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            return None
        star, first, last, step = match.groups()
        # Sunday is 0 and 7: of all days it counts once.
        low, high = (
            (least, min(most, 6) if most == max(_SUNDAYS) else most) if star else (int(first), int(last or first))
        )
        if not star and step and not last:
            high = most
        if not least <= low <= high <= most or (step and not int(step)):
            return None
        found.update(range(low, high + 1, int(step or 1)))
    return sorted(found)
