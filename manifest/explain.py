"""What pydantic finds, as messages for people: what was given, what is allowed, and the nearest allowed name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from manifest.problems import shown, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

    from manifest.problems import Loc

_TYPES = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "float_type": "a number",
    "int_type": "a whole number",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "string_type": "text",
    "tuple_type": "a list",
}
_NUMBERS = {"int_type": r"-?(0|[1-9][0-9]*)", "float_type": r"-?(0|[1-9][0-9]*)(\.[0-9]+)?"}
_BOOLS = {"yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"}
_LIMITS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than_equal": ("at most", "le"),
}


class Finding(NamedTuple):
    """A message about the value, or about the key, at a location."""

    loc: Loc
    message: str
    on_key: bool


def explain(
    error: ValidationError, kind: type[BaseModel], written: Callable[[Loc], str | None] = lambda _: None
) -> Iterator[Finding]:
    """Translate an error of pydantic's.

    Args:
        error: The error.
        kind: The class that the value was held against.
        written: Returns how a value at a location was written, if that is known.
    """
    schema: dict[str, Any] = {}
    for one in error.errors(include_url=False):
        loc = one["loc"]
        if one["type"] == "extra_forbidden":
            schema = schema or kind.model_json_schema()
            yield Finding(loc, unknown("key", str(loc[-1]), _allowed(schema, loc[:-1])), on_key=True)
        elif loc and loc[-1] == "[key]":
            yield Finding(loc[:-1], _message(one, None), on_key=True)
        else:
            yield Finding(loc, _message(one, written(loc)), on_key=False)


def _message(error: ErrorDetails, written: str | None) -> str:
    kind, context, given = error["type"], error.get("ctx", {}), error["input"]
    said = written or shown(given)
    if kind == "refused":
        return error["msg"]
    if kind == "missing":
        return "is missing and has no default"
    if kind == "too_long":
        return f"must have at most {context['max_length']} entries"
    if kind in _TYPES:
        return f"must be {_TYPES[kind]}, not {said}{_remedy(kind, given, said)}"
    if kind in _LIMITS:
        words, limit = _LIMITS[kind]
        return f"must be {words} {context[limit]:.15g}, not {said}"
    return f"{error['msg'][:1].lower()}{error['msg'][1:]}, not {said}"


def _remedy(kind: str, given: object, said: str) -> str:
    """What to change, where that is plain."""
    if kind == "string_type" and isinstance(given, bool | int | float):
        return f'; put it in quotes: "{said}"'
    if isinstance(given, str):
        if kind in _NUMBERS and re.fullmatch(_NUMBERS[kind], given):
            return "; remove the quotes"
        if kind == "bool_type" and given.lower() in _BOOLS:
            return f"; write {_BOOLS[given.lower()]}"
    return ""


def _allowed(schema: Mapping[str, Any], loc: Loc) -> list[str]:
    """The keys that the JSON Schema allows at a location."""
    here: Mapping[str, Any] = schema
    for part in (*loc, None):
        while "$ref" in here or "anyOf" in here:
            if "$ref" in here:
                here = schema["$defs"][here["$ref"].rpartition("/")[2]]
            else:
                here = next(one for one in here["anyOf"] if one.get("type") != "string" and one.get("type") != "null")
        if part is not None:
            here = here["items"] if isinstance(part, int) else _value_of(here, part)
    return list(here["properties"])


def _value_of(schema: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The JSON Schema of a key's value; in a map, of every key that has none of its own."""
    if own := schema.get("properties", {}).get(key):
        return cast("Mapping[str, Any]", own)
    # pydantic writes a map whose keys have one pattern as that, any other as additional properties.
    patterns = list(schema.get("patternProperties", {}).values())
    return cast("Mapping[str, Any]", patterns[0] if patterns else schema["additionalProperties"])
