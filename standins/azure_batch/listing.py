"""Lists, as Batch gives them: filtered, cut to what was asked for, and in pages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from standins.azure_batch.errors import BatchError

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST = 1000
_CLAUSE = re.compile(r"\s*([A-Za-z]+(?:/[A-Za-z]+)*)\s+(eq|ne)\s+'([^']*)'\s*")


def page(items: list[dict[str, Any]], query: Mapping[str, str], url: str) -> dict[str, Any]:
    """Return a page of a list.

    Args:
        items: All of it.
        query: What was asked for.
        url: Of this list, to make that of the next page.

    Raises:
        BatchError: The query is none that this stand-in understands.
    """
    kept = [item for item in items if _fits(item, query.get("$filter", ""))]
    most = _number(query, "maxresults", _MOST)
    if not 1 <= most <= _MOST:
        raise _refused("maxresults", str(most))
    start = _number(query, "standin-skip", 0)
    shown = [selected(item, query) for item in kept[start : start + most]]
    found: dict[str, Any] = {"value": shown}
    if len(kept) > start + most:
        keep = "&".join(f"{name}={value}" for name, value in query.items() if name != "standin-skip")
        found["odata.nextLink"] = f"{url}?{keep}&standin-skip={start + most}"
    return found


def selected(item: dict[str, Any], query: Mapping[str, str]) -> dict[str, Any]:
    """Return only what `$select` names."""
    names = [name for name in query.get("$select", "").split(",") if name]
    return {name: value for name, value in item.items() if name in names} if names else item


def _fits(item: dict[str, Any], clauses: str) -> bool:
    for clause in re.split(r"\s+and\s+", clauses) if clauses else []:
        found = _CLAUSE.fullmatch(clause)
        if not found:
            raise _refused("$filter", clauses)
        value: Any = item
        for step in found[1].split("/"):
            value = value.get(step) if isinstance(value, dict) else None
        if (str(value) == found[3]) != (found[2] == "eq"):
            return False
    return True


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    try:
        return int(query.get(name, default))
    except ValueError:
        raise _refused(name, query[name]) from None


def _refused(name: str, value: str) -> BatchError:
    return BatchError(
        400,
        "InvalidQueryParameterValue",
        "The value specified for one of the query parameters is invalid.",
        QueryParameterName=name,
        QueryParameterValue=value,
    )
