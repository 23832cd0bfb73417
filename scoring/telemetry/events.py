"""The form of a log event: one line of JSON, or of text for people."""

from __future__ import annotations

import logging
import re
import time
from typing import Any

import orjson

from scoring import failure
from scoring.context import REQUEST_ID

# Docker and Kubernetes cut lines at 16 KiB; escaped, most events of this size stay below.
MOST_CHARACTERS = 8000
# What ends a line, or moves a terminal's cursor, without being a line's end.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_BEYOND_ASCII = re.compile("[\x7f-\x9f\u2028\u2029]")


class Stamp(logging.Filter):
    """Puts the id of the request into a record, for formats with %(request_id)s."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Take every record."""
        if not hasattr(record, "request_id"):
            record.request_id = REQUEST_ID.get()
        return True


class TextFormatter(logging.Formatter):
    """An event on one line; a further line of its message or traceback begins with spaces."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the event."""
        # Tracebacks have been cut from their beginning, messages from their end.
        text = "\n".join(filter(None, (_message(record), _exception(record))))
        text = _CONTROL.sub(_escape, _encodable(text)).replace("\n", "\n    ")
        identifier = _request_id(record)
        mark = f" [{identifier}]" if identifier else ""
        head = _CONTROL.sub(_escape, _encodable(f"{record.levelname:<7} {record.name}{mark}")).replace("\n", " ")
        return f"{_moment(record.created)} {head}: {text}"


class JsonFormatter(logging.Formatter):
    """An event as a JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the event."""
        event: dict[str, Any] = {
            "time": _moment(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
        }
        if identifier := _request_id(record):
            event["request_id"] = identifier
        if trace := _exception(record):
            event["exception"] = trace
        try:
            line = orjson.dumps(event)
        except TypeError:  # a half of a surrogate pair, which UTF-8 does not have
            line = orjson.dumps({name: _encodable(str(value)) for name, value in event.items()})
        text = line.decode()
        return text if text.isascii() else _BEYOND_ASCII.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def cut(text: str, beyond: int = 0) -> str:
    """Cut a text that is too long, and say by how much.

    Args:
        text: The text.
        beyond: How many characters of it were left out before.
    """
    left_out = max(0, len(text) - MOST_CHARACTERS) + beyond
    return f"{text[:MOST_CHARACTERS]} … ({left_out} more characters)" if left_out else text


def _message(record: logging.LogRecord) -> str:
    # A print is cut where it is gathered.
    return cut(record.getMessage(), getattr(record, "left_out", 0))


def _exception(record: logging.LogRecord) -> str:
    if record.exc_info and record.exc_info[1] is not None:
        trace = failure.trace(record.exc_info[1])
    else:
        trace = record.exc_text or record.stack_info or ""
    # What was raised, and where, stands at the end.
    left_out = len(trace) - MOST_CHARACTERS
    return f"({left_out} more characters) … {trace[-MOST_CHARACTERS:]}" if left_out > 0 else trace


def _request_id(record: logging.LogRecord) -> str:
    return str(getattr(record, "request_id", "") or REQUEST_ID.get())


def _moment(seconds: float) -> str:
    """RFC 3339, in UTC, to the millisecond."""
    whole, milliseconds = divmod(int(seconds * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{milliseconds:03d}Z"


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number <= 0xFF else f"\\u{number:04x}"  # noqa: PLR2004 - the last of two digits
