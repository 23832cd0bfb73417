"""Dates and times out of text: ISO 8601, the form of the examples, and whatever dateutil reads where it is there."""

from __future__ import annotations

import datetime as dt

from .abstract_parameter_type import mismatch

_EXAMPLE = "%Y-%m-%d %H:%M:%S.%f %z"
_TIME_EXAMPLE = "%H:%M:%S.%f %z"


def parse_date(text: object) -> dt.date:
    """Return a date, written 2026-01-31."""
    try:
        return dt.date.fromisoformat(str(text))
    except ValueError:
        raise mismatch("a date, such as '2026-01-31'", text) from None


def parse_datetime(text: object) -> dt.datetime:
    """Return a date and time, with a zone where the text has one."""
    if not isinstance(text, str):
        raise mismatch("a date and time, such as '2026-01-31T12:00:00Z'", text)
    try:
        return dt.datetime.fromisoformat(_iso(text))
    except ValueError:
        try:
            return dt.datetime.strptime(text, _EXAMPLE)  # noqa: DTZ007 - the format has a zone
        except ValueError:
            return _by_dateutil(text)


def parse_time(text: object) -> dt.time:
    """Return a time, with a zone where the text has one."""
    if isinstance(text, str):
        try:
            return dt.time.fromisoformat(_iso(text))
        except ValueError:
            try:
                return dt.datetime.strptime(text, _TIME_EXAMPLE).timetz()  # noqa: DTZ007 - the format has a zone
            except ValueError:
                return parse_datetime(text).timetz()
    raise mismatch("a time, such as '12:00:00'", text)


def _iso(text: str) -> str:
    """Python 3.10 has no Z for UTC."""
    return f"{text[:-1]}+00:00" if text.endswith(("Z", "z")) else text


def _by_dateutil(text: str) -> dt.datetime:
    # pandas brings it; what it reads beyond ISO 8601 is for callers of old.
    try:
        from dateutil import parser  # type: ignore[import-untyped]  # noqa: PLC0415 - it may not be there

        parsed: dt.datetime = parser.parse(text)
    except (ImportError, ValueError, OverflowError):
        raise mismatch("a date and time, such as '2026-01-31T12:00:00Z'", text) from None
    return parsed
