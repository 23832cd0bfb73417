"""JSON texts and queries as values, as the contract has it."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qsl

import orjson

from scoring.refused import RefusedError

# orjson turns an integer beyond 64 bits into a float. A run of 19 digits is the shortest that can be one.
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_RUN = b"0" * 19
_RUN_END = re.compile(rb"[^0]|\Z")


def parse_json(body: bytes, *, exact: bool) -> Any:
    """Return the value of a JSON body, as Python's json module would have it, NaN too.

    Args:
        body: The body.
        exact: Whether integers beyond 64 bits stay integers. Else they become floats, and a large body is parsed in
            half the time.

    Raises:
        RefusedError: It is not JSON; the message has line and column.
    """
    try:
        if not exact or not _has_large_integer(body):
            return orjson.loads(body)
    except orjson.JSONDecodeError:
        # NaN, a byte order mark, UTF-16 and lone surrogates are for the slower one, as are the messages.
        pass
    try:
        return json.loads(body)
    except UnicodeDecodeError as error:
        raise RefusedError(400, f"Input cannot be decoded as UTF-8: {error}") from None
    except ValueError as error:
        raise RefusedError(400, f"POST body could not be decoded as JSON: {error}") from None
    except RecursionError:
        raise RefusedError(400, "POST body could not be decoded as JSON: it is nested too deeply") from None


def parse_query(query: bytes) -> dict[str, Any]:
    """Return a query's parameters: each value JSON where it is that, else text; repeated ones are lists."""
    values: dict[str, list[Any]] = {}
    for name, text in parse_qsl(query.decode("utf-8", "replace"), keep_blank_values=True):
        values.setdefault(name, []).append(json_or_text(text))
    return {name: found[0] if len(found) == 1 else found for name, found in values.items()}


def json_or_text(text: str) -> Any:
    """Return the value of a text that is JSON, with its integers whole; any other text as it is."""
    try:
        if not _has_large_integer(text.encode("utf-8", "surrogatepass")):
            return orjson.loads(text)
    except orjson.JSONDecodeError:
        # As above.
        pass
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _has_large_integer(body: bytes) -> bool:
    """Whether there may be an integer of 19 digits or more; a scan at the speed of memory for bodies without one."""
    zeros = body.translate(_DIGITS)
    start = zeros.find(_RUN)
    while start >= 0:
        end = _RUN_END.search(zeros, start + len(_RUN)).start()  # type: ignore[union-attr]  # the end always matches
        # Not the digits behind a point or at the start of a text, nor those before a point or an exponent.
        if body[start - 1 : start] not in {b".", b'"'} and body[end : end + 1] not in {b".", b"e", b"E"}:
            return True
        start = zeros.find(_RUN, end)
    return False
