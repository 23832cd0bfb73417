"""Queries for twins, `SELECT ... FROM devices | devices.modules WHERE ...`, as far as they are needed here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from manifest.edge.query import QueryError, parse, value_at
from manifest.edge.query_values import UNDEFINED
from standins.iot_hub.failure import HubError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from manifest.edge.query import Condition
    from manifest.edge.query_values import Path

_QUERY = re.compile(
    r"\s*SELECT\s+(?P<what>.+?)\s+FROM\s+(?P<source>devices\.modules|devices)(?:\s+WHERE\s+(?P<where>.+?))?\s*",
    re.IGNORECASE | re.DOTALL,
)
_COUNT = re.compile(r"COUNT\(\s*\*?\s*\)(?:\s+AS\s+(?P<name>\w+))?", re.IGNORECASE)
_COLUMN = re.compile(r"(?P<path>[$\w.]+)(?:\s+AS\s+(?P<name>\w+))?", re.IGNORECASE)


@dataclass(frozen=True)
class Query:
    """A parsed query.

    Attributes:
        modules: Whether it asks for modules' twins, not for devices'.
        condition: Which of them; None for all.
        columns: Name to path of what it asks for; None for whole twins.
        count: The name of their number, where only that is asked for.
    """

    modules: bool
    condition: Condition | None
    columns: dict[str, Path] | None
    count: str | None

    def run(self, twins: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Answer it.

        Args:
            twins: All twins of its kind.
        """
        found = (one for one in twins if self.condition is None or holds(self.condition, one))
        if self.count is not None:
            yield {self.count: sum(1 for _ in found)}
        elif self.columns is None:
            yield from found
        else:
            for one in found:
                values = {name: value_at(one, path) for name, path in self.columns.items()}
                yield {name: value for name, value in values.items() if value is not UNDEFINED}


def holds(condition: Condition, twin: dict[str, Any]) -> bool:
    """Tell whether a condition holds for a twin, whose reported and desired properties have short names too."""
    return condition.holds(lambda path: value_at(twin, path)) is True


def read(text: str) -> Query:
    """Read a query.

    Raises:
        HubError: The hub, or this stand-in, does not understand it.
    """
    found = _QUERY.fullmatch(text)
    if found is None:
        raise _refused("expected SELECT ... FROM devices or devices.modules, perhaps WHERE ...")
    try:
        condition = parse(found["where"]) if found["where"] else None
    except QueryError as error:
        raise _refused(str(error)) from None
    modules = found["source"].lower() == "devices.modules"
    what = found["what"].strip()
    if what == "*":
        return Query(modules, condition, None, None)
    if counted := _COUNT.fullmatch(what):
        return Query(modules, condition, None, counted["name"] or "$1")
    columns: dict[str, Path] = {}
    for part in what.split(","):
        column = _COLUMN.fullmatch(part.strip())
        if column is None:
            raise _refused(f"cannot select {part.strip()}")
        path = tuple(column["path"].split("."))
        columns[column["name"] or path[-1]] = path
    return Query(modules, condition, columns, None)


def _refused(message: str) -> HubError:
    return HubError(400, "ArgumentInvalid", f"Query is invalid: {message}")
