"""Schemas of Python's values, each with an `example`."""

from __future__ import annotations

import base64
import datetime as dt
import functools
from typing import Any

from .abstract_parameter_type import AbstractParameterType

# A bool is an int and a datetime a date: the order matters.
_SCALARS: tuple[tuple[type, dict[str, str]], ...] = (
    (bool, {"type": "boolean"}),
    (int, {"type": "integer", "format": "int64"}),
    (float, {"type": "number", "format": "double"}),
    (str, {"type": "string"}),
    (bytes, {"type": "string", "format": "byte"}),
    (bytearray, {"type": "string", "format": "byte"}),
    (dt.datetime, {"type": "string", "format": "date-time"}),
    (dt.date, {"type": "string", "format": "date"}),
    (dt.time, {"type": "string", "format": "time"}),
)
# The schema of null, and of what has none.
_NOTHING = {"type": "object"}
_TIME = "%H:%M:%S.%f %z"


def schema_of(value: Any) -> dict[str, Any]:
    """Return a value's schema and example; types of parameters within it have theirs."""
    if isinstance(value, AbstractParameterType):
        return dict(value.input_to_swagger())
    if isinstance(value, dict):
        return _object(value)
    if isinstance(value, (list, tuple, range)):
        return _array(value)
    for kind, schema in _SCALARS:
        if isinstance(value, kind):
            return {**schema, "example": _example(value)}
    return {**_NOTHING, "example": value}


def _object(value: dict[Any, Any]) -> dict[str, Any]:
    members = {key: schema_of(item) for key, item in value.items()}
    example = {key: member.pop("example") for key, member in members.items()}
    return {"type": "object", "required": list(members), "properties": members, "example": example}


def _array(value: Any) -> dict[str, Any]:
    items = [schema_of(item) for item in value]
    example = [item.pop("example") for item in items]
    return {"type": "array", "items": functools.reduce(_merged, items) if items else dict(_NOTHING), "example": example}


def _merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """A schema for both; something that is missing in one row says nothing about the others."""
    if _NOTHING in (first, second):
        return second if first == _NOTHING else first
    if first == second:
        return first
    kinds = {first.get("type"), second.get("type")}
    if kinds == {"integer", "number"}:
        return {"type": "number", "format": "double"}
    if kinds == {"array"}:
        return {"type": "array", "items": _merged(first["items"], second["items"])}
    if kinds == {"object"}:
        known, further = first.get("properties", {}), second.get("properties", {})
        members = {
            key: _merged(known[key], further[key]) if key in known and key in further else {**known, **further}[key]
            for key in {**known, **further}
        }
        both = [key for key in first.get("required", ()) if key in second.get("required", ())]
        # An empty `required` is not allowed everywhere.
        return {"type": "object", **({"required": both} if both else {}), "properties": members}
    return {}


def _example(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, dt.datetime):
        return _in_a_zone(value).strftime(f"%Y-%m-%d {_TIME}")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, dt.time):
        return _in_a_zone(value).strftime(_TIME)
    return value


def _in_a_zone(value: Any) -> Any:
    """A time without a zone is taken for UTC."""
    return value if value.tzinfo is not None else value.replace(tzinfo=dt.timezone.utc)  # noqa: UP017 - Python 3.10
